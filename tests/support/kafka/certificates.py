"""An authority of the tests' own and the certificates it gives: good for loopback, for two days."""

from pathlib import Path

from tests.support.kafka.jars import openssl

__all__ = ["Authority"]

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Authority:
    """A certificate authority whose files lie in `folder`; `certificate` is what those who trust it are given."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.certificate, self._key = folder, folder / "authority.pem", folder / "authority.key"
        openssl("req", "-x509", *NEW_KEY, "-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign",
                "-keyout", str(self._key), "-out", str(self.certificate))  # fmt: skip

    def issue(self, name: str) -> Path:
        """Return a PEM file with a new key and its certificate, whose subject is `CN=name`."""
        key, certificate, both = (self.folder / f"{name}.{end}" for end in ("key", "certificate", "pem"))
        openssl("req", "-x509", *NEW_KEY, "-subj", f"/CN={name}",
                "-CA", str(self.certificate), "-CAkey", str(self._key),
                "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                "-addext", "basicConstraints=critical,CA:false",
                "-keyout", str(key), "-out", str(certificate))  # fmt: skip
        both.write_text(key.read_text() + certificate.read_text())
        return both
