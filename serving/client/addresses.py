"""Addresses of servers, which may hold a password."""


def without_login(address: str) -> str:
    """The address as messages and logs may show it.

    Whatever stands before the last @ is left out, so that nothing of a password is shown of an
    address that cannot be read either.
    """
    scheme, separator, rest = address.partition("://")
    return f"{scheme.rpartition('@')[2]}{separator}{rest.rpartition('@')[2]}"
