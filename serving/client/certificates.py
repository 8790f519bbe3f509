"""The certificate that a client shows (mutual TLS)."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from serving.client.errors import InvalidRequest


@dataclass(frozen=True)
class ClientCertificate:
    """A certificate and its key, for servers that demand one.

    Attributes:
      certificate: PEM file; certificates of authorities in between follow the client's own.
      key: PEM file with its private key, which no password protects.
    """

    certificate: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        """Has connections of this context show it.

        Raises:
          InvalidRequest: a file cannot be read, or they are no certificate and its key.
        """
        self.pem()
        try:
            # A protected key would have Python ask for its password.
            context.load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError as error:
            raise InvalidRequest(
                f"{self.certificate} and {self.key} must be a certificate and its key, in PEM and "
                f"without a password ({error.reason or 'none found'})"
            ) from error

    def pem(self) -> tuple[bytes, bytes]:
        """The content of both files.

        Raises:
          InvalidRequest: one of them cannot be read.
        """
        return _content(self.certificate), _content(self.key)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path}: cannot be read ({error.strerror})") from error
