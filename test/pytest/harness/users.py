"""Users and their password: what httpd asks for (mod_auth_basic), and how a client says who it is."""

import base64
import hashlib

MODULES = ("auth_basic", "authn_core", "authn_file", "authz_user")
PASSWORD = "open-sesame"


def user_file(server, *users):
    """A file with these users, who all have the one password."""
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    path = server.directory / "users"
    path.write_text("".join(f"{user}:{{SHA}}{digest}\n" for user in users))
    path.chmod(0o644)
    return path


def authentication(server, *users):
    """The lines that have a client say which of these users it is; a Require says who may."""
    return (
        "AuthType Basic", 'AuthName "test"', "AuthBasicProvider file", f'AuthUserFile "{user_file(server, *users)}"',
    )


def basic(user, password=PASSWORD):
    """The header field of a client that says who it is."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return [("Authorization", f"Basic {credentials}")]
