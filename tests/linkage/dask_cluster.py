"""A Dask cluster on this machine, for tests and benchmarks: real programs, mutual TLS."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from linkage.distributed import Cluster

ROOT = Path(__file__).parent.parent.parent


def make_certificates(folder: Path) -> dict[str, str]:
    """An authority and one certificate that scheduler, workers and client share."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)

    def made(subject_key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool) -> bytes:
        subject = name if ca else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(subject_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
            )
        )
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, node = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(made(authority, authority, True))
    (folder / "node.pem").write_bytes(made(node, authority, False))
    pem = node.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "node.key").write_bytes(pem)
    return {"ca": str(folder / "ca.pem"), "cert": str(folder / "node.pem"), "key": str(folder / "node.key")}


class Running:
    """A scheduler and workers as programs of their own."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.files = make_certificates(folder)
        tls = [f"--tls-{'ca-file' if n == 'ca' else n}={f}" for n, f in self.files.items()]
        address = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", *tls, "--protocol=tls", "--host=127.0.0.1", "--port=0", "--no-dashboard",
            f"--scheduler-file={address}",
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not (address.exists() and address.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self._worker = (
            f"--scheduler-file={address}", *tls, "--protocol=tls", "--host=127.0.0.1", "--nthreads=1",
            "--no-nanny", "--no-dashboard", f"--local-directory={folder}", "--memory-limit=0",
        )  # fmt: skip
        self.workers = [self._start("worker", *self._worker) for _ in range(workers)]
        self.cluster = Cluster(
            json.loads(address.read_text())["address"],
            self.files["ca"],
            self.files["cert"],
            self.files["key"],
        )

    def _start(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + kind, *options]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self, workers: int) -> None:
        from distributed import Client, Security

        c = self.cluster
        security = Security(
            tls_ca_file=c.ca, tls_client_cert=c.certificate, tls_client_key=c.key, require_encryption=True
        )
        with Client(c.address, security=security, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def replace_worker(self, number: int) -> None:
        """`kill -9` a worker and start another in its place."""
        self.workers[number].kill()
        self.workers[number].wait()
        self.workers[number] = self._start("worker", *self._worker)

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            if process.poll() is None:
                process.kill()
            process.wait()
