"""The one exception that a client sees, and what TensorFlow's own become."""

import grpc

_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


class ServingError(Exception):
    """An error that a client sees.

    Attributes:
      code: what gRPC answers; REST derives its HTTP status from it.
      message: one line.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def code_of(number: int) -> grpc.StatusCode:
    """The gRPC code of a number; `tf.errors.OpError.error_code` holds the same numbers."""
    return _BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN)


def invalid(message: str) -> ServingError:
    """What is answered to a request that no server would understand."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
