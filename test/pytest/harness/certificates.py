"""A certificate authority that lives as long as the test session; no key is ever stored."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Certificates:
    """Files `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key`."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.ca = self.directory / "ca.pem"
        self.server = self.directory / "server.pem"
        self.server_key = self.directory / "server.key"
        self.client = self.directory / "client.pem"
        self.client_key = self.directory / "client.key"
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = _name("mod_websocket test CA")
        ca_builder = (
            _builder(ca_name, ca_name, ca_key, ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_CA_KEY_USAGE, critical=True)
        )
        self.ca.write_bytes(
            ca_builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        self._issue("localhost", self.server, self.server_key, ca_name, ca_key,
                    ExtendedKeyUsageOID.SERVER_AUTH)
        self._issue("tester", self.client, self.client_key, ca_name, ca_key,
                    ExtendedKeyUsageOID.CLIENT_AUTH)

    def client_context(self, *, identify=False, alpn=None):
        """A context that trusts the authority, and shows a certificate when asked to."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if identify:
            context.load_cert_chain(self.client, self.client_key)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    @staticmethod
    def _issue(common_name, certificate, key_file, issuer, issuer_key, usage):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ])
        builder = (
            _builder(_name(common_name), issuer, key, issuer_key)
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        certificate.write_bytes(
            builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)


_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
    key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
    decipher_only=False,
)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject, issuer, key, issuer_key):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
