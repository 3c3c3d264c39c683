"""The meaning of Redis' faults: "not now", "never", "not ours" or a bug; and the words for people.

Error texts quote what was sent, so that no word of one reaches a log unless this module knows the word, or the word
can't be a value: an unknown text is told up to its first character that is neither a letter nor a space.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from redis import exceptions
from redis.exceptions import RedisError, ResponseError

from abuse.redis_port import ForeignValue
from config.errors import SettingsError, Unavailable

PART_OF_A_CLUSTER = "redis.cluster: this server is part of a cluster; set LIVENESS_REDIS__CLUSTER=true"
#: Replies that no waiting mends: the address, the password or the rights are wrong.
_REFUSALS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "DENIED"})
_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
#: Replies to a command that is wrong itself: wrong at every server, and at any time.
_BUGS = frozenset({"CROSSSLOT", "BUSYGROUP", "NOGROUP", "EXECABORT", "NOSCRIPT", "NOPROTO", "INVALIDOBJ"})
_BUG_WORDS = re.compile(
    r"unknown (sub)?command|wrong number of arg|syntax|unsupported|invalid|unknown option|no such |vector dimension"
    r"|[\w ]*value is (not|out)|[\w ]*is not an? |[\w ]*options? at the same time|string exceeds|protocol error"
    r"|element not found|asked quantization|key does not exist|index out of range|increment or decrement",
    re.IGNORECASE,
)
#: What "not now" is for, where the code alone doesn't say whom to ask.
_WORDS = {
    "MISCONF": "MISCONF: Redis can't save to its disk, and takes no writes until it can; is the disk full?",
    "OOM": "OOM: Redis is full (maxmemory)",
    "READONLY": "READONLY: a replica answers where the primary should",
    "NOREPLICAS": "NOREPLICAS: the primary has too few replicas to take writes",
    "MASTERDOWN": "MASTERDOWN: a replica answers, and its primary is away",
    "CLUSTERDOWN": "CLUSTERDOWN: the cluster has slots without a node, or has too few nodes",
    "LOADING": "LOADING: Redis reads its data from the disk",
    "BUSY": "BUSY: Redis runs somebody's script",
}
_PLAIN_WORDS = re.compile(r"[A-Za-z ]{1,60}")
_NO_COMMAND = re.compile(r"unknown command|unsupported|not (available|supported|allowed)|disabled|forbidden", re.I)
_REFUSED_COMMAND = re.compile(r"run the '([\w|-]{1,40})' command")


class NoHandshake(exceptions.ConnectionError):
    """Fault of a TLS connection: a server without TLS keeps silent, or hangs up."""


class HungUp(exceptions.ConnectionError):
    """Fault of a TLS connection that ended before the greeting was answered: so ends one without a client certificate
    that the server wants."""


def unavailable(error: RedisError, key: str) -> Unavailable:
    """Slow-down signal for a passing fault; an error reply nobody knows is one too, since proxies have their own.

    Raises SettingsError for a fault that waiting doesn't mend, ForeignValue for a key of another kind; any other error
    is a bug and raised as it is.
    """
    if isinstance(error, exceptions.AskError):  # MOVED is one too; a cluster's client has followed both
        raise SettingsError(PART_OF_A_CLUSTER) from error
    code = _code(error)
    # Refusals at a connection's greeting come wrapped.
    refusal = next((each for each in _chain(error) if isinstance(each, _REFUSED)), None)
    if refusal or code in _REFUSALS:
        raise SettingsError(f"redis.url: Redis refuses this client {_refused(refusal or error, code)}") from error
    if "WRONGTYPE" in (code, str(error).partition(" ")[0]):
        raise ForeignValue(key) from error
    if code == "ERR" and "syntax" in str(error):
        raise SettingsError("redis.url: Redis 7.0 or newer is needed") from error
    if is_passing(error):
        return Unavailable("redis", _words(error, code))
    raise error


def is_passing(error: BaseException) -> bool:
    """Whether to ask again, on a new connection: the address may lead to another server by then."""
    code = _code(error)
    if isinstance(error, (exceptions.AskError, *_REFUSED)) or code in _REFUSALS | _BUGS | {"WRONGTYPE"}:
        return False
    if isinstance(error, ResponseError):
        return not (code == "ERR" and _BUG_WORDS.match(_text(error)))
    return isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError)


def _code(error: BaseException) -> str:
    """First word of an error reply, which the library cuts off the text of errors that the library knows; "" for a
    fault of the connection."""
    told = getattr(error, "status_code", None)
    return told or (str(error).partition(" ")[0] if isinstance(error, ResponseError) else "")


def not_shaken(error: RedisError) -> bool:
    """Whether a TLS connection failed after, or instead of, an answer to its first bytes; a refused one did not."""
    return isinstance(error, exceptions.TimeoutError) or any(
        isinstance(each, ConnectionResetError | ConnectionAbortedError | BrokenPipeError) for each in _chain(error)
    )


def is_known_to_pass(error: BaseException) -> bool:
    """Whether a reply says "not now" in Redis' own words; a proxy's own may as well refuse the command for ever."""
    return is_passing(error) and _code(error) in _WORDS


def lacks_command(error: ResponseError) -> bool:
    """Whether the server has no such command at all: an older one, one where it was renamed, or a proxy."""
    return bool(_NO_COMMAND.search(str(error)))


def _text(error: ResponseError) -> str:
    """Error reply without its code."""
    return str(error) if error.status_code else str(error).partition(" ")[2]


def _words(error: RedisError, code: str) -> str:
    if trouble := next((each for each in _chain(error) if isinstance(each, ssl.SSLError)), None):
        return f"TLS: {_tls_words(trouble)}"
    if isinstance(error, NoHandshake):
        return "TLS: no handshake came about; is the server away, or is this port one without TLS?"
    if isinstance(error, HungUp):
        return "TLS: the server hung up after the handshake; does it want a client certificate (redis.ssl_certfile)?"
    if not code:
        return type(error).__name__
    told = _PLAIN_WORDS.match(str(error)) if code not in _WORDS else None
    return _WORDS.get(code) or (f"unknown reply: {told[0].strip()}" if told else "unknown reply")


def _tls_words(trouble: ssl.SSLError) -> str:
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return f"the certificate isn't accepted ({trouble.verify_message})"
    reason = str(trouble.reason).lower().replace("_", " ")
    if reason in ("wrong version number", "record layer failure"):
        return f"the server doesn't speak it at this port ({reason})"
    return reason


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Error and what it came from; the library wraps what the operating system says."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refused(error: BaseException, code: str) -> str:
    """Words for what is refused: a command, where the reply names one."""
    name = code or type(error).__name__
    command = _REFUSED_COMMAND.search(str(error))
    return f"({name}: the user may not run {command[1].upper()})" if command else f"({name})"
