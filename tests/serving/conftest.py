"""Models in miniature for everything that serves: one like those pushed, and a toy."""

import datetime
import ipaddress
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.protos import SSLConfig


@pytest.fixture(scope="session")
def models(test_module):
    """The functions of `core_support`."""
    return test_module("serving/core_support.py")


@pytest.fixture(scope="session")
def support(test_module):
    """The functions of `rest_support`."""
    return test_module("serving/rest_support.py")


@pytest.fixture(scope="session")
def pushed(tiny_models, tmp_path_factory):
    """`<tmp>/dexmatch` with version 1: a real ServingModel over a tiny backbone."""
    folder = tmp_path_factory.mktemp("pushed") / "dexmatch"
    shutil.copytree(tiny_models.first, folder)
    return folder


@pytest.fixture(scope="session")
def toy(models, tmp_path_factory):
    """`<tmp>/toy` with version 1: signatures of every type and shape; see `core_support.Toy`."""
    folder = tmp_path_factory.mktemp("toys") / "toy"
    models.save_toy(folder / "1", offset=1)
    return folder


def _self_signed():
    """An SSLConfig with a new key, and a certificate of 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SSLConfig(
        server_key=private.decode(), server_cert=certificate.public_bytes(pem).decode()
    )


@pytest.fixture
def tls():
    """See `_self_signed`."""
    return _self_signed()


@pytest.fixture
def another_tls():
    """One more that does not go with `tls`."""
    return _self_signed()
