"""The signature of Standard Webhooks 1.0, symmetric: HMAC-SHA256 over `id.timestamp.body`."""

import base64
import binascii
import hashlib
import hmac


def signed_headers(
    key: bytes, id_: str, seconds: float, body: bytes
) -> tuple[tuple[str, str], ...]:
    """The headers of a body that is sent at `seconds` since 1970."""
    stamp = str(int(seconds))
    return (
        ("webhook-id", id_),
        ("webhook-timestamp", stamp),
        ("webhook-signature", signature(key, id_, stamp, body)),
    )


def signing_key(secret: str) -> bytes:
    """The key behind a secret: of `whsec_...` what is in base64 behind it, else its own bytes.
    Raises ValueError."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("the secret begins with whsec_ and goes on with no base64") from None


def signature(key: bytes, id_: str, timestamp: str, body: bytes) -> str:
    """`webhook-signature` of Standard Webhooks 1.0, symmetric: `v1,` and the HMAC in base64."""
    signed = hmac.new(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"
