"""Ed25519 keys and signatures (RFC 8032), by the library cryptography."""

from __future__ import annotations

__all__ = ["is_signed", "new_key", "public_of", "sign"]


def new_key() -> bytes:
    """Return a new private key, 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_of(private: bytes) -> str:
    """Return the public key of a private one, hexadecimal."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw().hex()


def sign(private: bytes, data: bytes) -> bytes:
    """Return the signature of data, 64 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).sign(data)


def is_signed(public: str, signature: bytes, data: bytes) -> bool:
    """Whether the holder of a key has signed data.

    Examples
    --------
    >>> key = new_key()
    >>> is_signed(public_of(key), sign(key, b"mask"), b"mask"), is_signed(public_of(key), sign(key, b"mask"), b"musk")
    (True, False)
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
