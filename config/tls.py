"""TLS contexts of clients, made from the settings' files; a file that can't be used is told by its setting."""

from __future__ import annotations

import ssl
from pathlib import Path

from config.connections import TlsSettings
from config.errors import SettingsError


def client_context(tls: TlsSettings, group: str, *, verify: bool = True) -> ssl.SSLContext:
    """Context of a client's connections, TLS 1.2 or newer. Blocks. Raises SettingsError naming the setting at fault.

    With a file of authorities the machine's own are not trusted. Without `verify` any certificate is accepted.
    """
    cafile, certfile, keyfile = tls.ssl_cafile, tls.ssl_certfile, tls.ssl_keyfile
    try:
        context = ssl.create_default_context(cafile=None if cafile is None else str(cafile))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{group}.ssl_cafile: {_why(error, cafile)}") from None
    if certfile is not None:
        secret = tls.ssl_key_password
        try:
            # A function, since a key with a password and none given would be asked for at the terminal.
            context.load_cert_chain(certfile, keyfile, lambda: secret.get_secret_value() if secret else "")
        except (OSError, ValueError) as error:
            raise SettingsError(_client_fault(error, group, certfile, keyfile)) from None
    context.check_hostname = tls.ssl_check_hostname and verify
    if not verify:
        context.verify_mode = ssl.CERT_NONE
    return context


def _client_fault(error: Exception, group: str, certfile: Path, keyfile: Path | None) -> str:
    """Words for a certificate and key that can't be loaded; OpenSSL doesn't say which of the files it was reading."""
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{group}.ssl_keyfile: the key doesn't belong to the certificate of ssl_certfile"
    for setting, file in (("ssl_certfile", certfile), ("ssl_keyfile", keyfile)):
        if file is not None and (trouble := _unreadable(file)):
            return f"{group}.{setting}: {_why(trouble, file)}"
    return (
        f"{group}.ssl_certfile: no certificate with its private key can be read from it"
        f"{' and ssl_keyfile' if keyfile else ''}; are they PEM, and is ssl_key_password right?"
    )


def _unreadable(file: Path) -> OSError | None:
    try:
        with file.open("rb"):
            return None
    except OSError as error:
        return error


def _why(error: Exception, file: Path | None) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return f"{file} can't be read ({error.strerror})"
    return f"{file} holds no certificate (PEM)"
