import grpc
import pytest

from serving.client import errors


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            "SERVER: Received message larger than max (7 vs. 6)",
            errors.RequestTooLarge,
        ),
        ("CLIENT: Sent message larger than max (7 vs. 6)", errors.RequestTooLarge),
        ("CLIENT: Received message larger than max (7 vs. 6)", errors.ServerFault),
        ("Decompressed message larger than max", errors.ServerFault),
        ("Requests of over 536,870,912 bytes are under way; try again", errors.ServingUnavailable),
    ],
)
def test_a_busy_server_is_told_from_a_message_that_is_too_large(message, kind):
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert type(errors.error_of_code(code, "grpc://a", message)) is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(413, errors.RequestTooLarge), (429, errors.ServingUnavailable)]
)
def test_so_it_is_over_rest(status, kind):
    assert type(errors.error_of_http_status(status, "http://a", "")) is kind
