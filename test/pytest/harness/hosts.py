"""Virtual hosts that many suites have."""

# What a suite with `tls_host` loads.
TLS_MODULES = ("ssl", "socache_shmcb")


def tls_host(server, *lines):
    """One under TLS on the server's `tls_port`, with `lines` in it."""
    certificates = server.certificates
    body = "".join(f"  {line}\n" for line in lines)
    return f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
{body}</VirtualHost>
"""
