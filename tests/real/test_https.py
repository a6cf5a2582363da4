"""Sources over HTTPS: the certificate is checked by the machine's authorities, and the name too."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.web import serving

from controller.core.measurement import Measurement
from controller.core.plan import Beside
from controller.policy.source import HttpSource as Model
from controller.sources.base import Request
from controller.sources.http import HttpSource

pytestmark = pytest.mark.real

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ASKED = Request(
    "candidate", "m", "v3", "errors", NOW - timedelta(minutes=30), NOW, None, 1.0, beside=Beside()
)


def certified(place: Path, name: str) -> Path:
    """A certificate for `name` that vouches for itself, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    desk = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desk")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(desk, desk, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    (place / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    path = place / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def secured(place: Path, name: str) -> Iterator[tuple[str, Path]]:
    """A server whose certificate, an authority of its own, is for `name`; its URL and that."""
    certificate = certified(place, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, place / "key.pem")
    answer = json.dumps({"errors": 0.02})
    with serving(lambda asked: asked.answer(answer), tls=context) as server:
        yield server.url.replace("http://127.0.0.1", "https://localhost"), certificate


def measured(url: str) -> Measurement:
    source = HttpSource("api", Model(url=url, retries=0), Path())
    try:
        return source.measure([ASKED])[0]
    finally:
        source.close()


def test_a_certificate_of_an_authority_that_the_machine_trusts_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secured(tmp_path, "localhost") as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert measured(url).value == 0.02


def test_one_that_nobody_vouches_for_is_an_error_and_no_number(tmp_path: Path) -> None:
    with secured(tmp_path, "localhost") as (url, _):
        found = measured(url)
    assert (found.status, found.value) == ("error", None)
    assert "certificate" in found.detail.lower()


def test_one_of_another_name_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secured(tmp_path, "broker.example") as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert measured(url).status == "error"
