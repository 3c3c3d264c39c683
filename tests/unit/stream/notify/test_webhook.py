"""The webhook against a real server on loopback: what counts as taken, what is tried again, what is never done."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.connector
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from stream.notify import webhook as module
from stream.notify.signing import verify
from stream.notify.targets import WebhookTarget
from stream.notify.webhook import Delivered, DeliveryOutcome, Retries, Undeliverable, Webhook, session_for
from stream.runtime import metrics
from tests.unit.stream.notify.builders import (
    BODY,
    KEY,
    PATH,
    FakeLookup,
    Receiver,
    SteppingClock,
    a_notice,
    raw_server,
    receiving,
)

GIVE_UP_AFTER_S = 600.0


@asynccontextmanager
async def posting(
    target: WebhookTarget,
    clock: SteppingClock,
    *,
    timeout_s: float = 20.0,
    lookup: FakeLookup | None = None,
    **retries: float,
) -> AsyncIterator[Webhook]:
    limits = Retries(**{"give_up_after_s": GIVE_UP_AFTER_S, **retries})
    async with session_for(target, timeout_s=timeout_s, at_once=4, lookup=lookup) as session:
        yield Webhook(session, target, KEY, limits, clock, sleep=clock.sleep)


async def delivered(
    to: Receiver | WebhookTarget, clock: SteppingClock | None = None, **changed: Any
) -> DeliveryOutcome:
    target = to.target if isinstance(to, Receiver) else to
    async with posting(target, clock or SteppingClock(), **changed) as webhook:
        return await webhook.deliver(a_notice())


async def silent(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError("nobody waits so long")


async def test_what_a_receiver_gets():
    clock = SteppingClock()
    async with receiving(204) as receiver:
        assert await delivered(receiver, clock) == Delivered(status=204, attempts=1)
    (asked,) = receiver.asked
    assert (asked.method, asked.path, asked.body) == ("POST", f"{PATH}?token=s3cret", BODY)
    assert verify(KEY, asked.headers, asked.body, now_s=clock.at_s) == "flag-1"
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert headers["webhook-timestamp"] == str(int(clock.at_s))
    assert a_notice().headers.items() <= headers.items()
    assert headers["accept-encoding"] == "identity"
    assert "cookie" not in headers


async def test_each_attempt_is_signed_anew():
    clock, retried = SteppingClock(), metrics.WEBHOOK_DELIVERIES.labels(outcome="retried")
    before = retried._value.get()
    async with receiving((500, {"Set-Cookie": "a=b"}), (503, {"Retry-After": "400"}), 401, 200) as receiver:
        assert await delivered(receiver, clock) == Delivered(status=200, attempts=4)
    assert retried._value.get() - before == 3
    stamps = [int(asked.headers["webhook-timestamp"]) for asked in receiver.asked]
    for asked, stamp in zip(receiver.asked, stamps, strict=True):
        assert verify(KEY, asked.headers, asked.body, now_s=stamp) == "flag-1"
    assert stamps[2] - stamps[1] >= 299, "the second attempt's signature is too old by then"
    assert len({asked.headers["webhook-signature"] for asked in receiver.asked}) >= 2
    assert {asked.body for asked in receiver.asked} == {BODY}
    assert not any("Cookie" in asked.headers for asked in receiver.asked)


STATUSES = {
    "taken": (200, 201, 202, 204, 206, 299),
    "final": (400, 410, 413, 422),
    "retried": (300, 304, 401, 403, 404, 405, 408, 409, 415, 429, 451, 500, 502, 503, 504),
}


@pytest.mark.parametrize(("kind", "status"), [(kind, each) for kind, statuses in STATUSES.items() for each in statuses])
async def test_statuses(kind, status):
    clock = SteppingClock()
    began = clock.at_s
    async with receiving((status, {"Retry-After": "1"})) as receiver:
        outcome = await delivered(receiver, clock)
    attempts = len(receiver.asked)
    if kind == "taken":
        assert outcome == Delivered(status=status, attempts=attempts)
    else:
        assert outcome == Undeliverable(why=f"HTTP {status}", attempts=attempts)
    assert attempts > 5 if kind == "retried" else attempts == 1
    assert clock.at_s - began == pytest.approx(GIVE_UP_AFTER_S if kind == "retried" else 0), "the last at the very end"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(status):
    async with receiving(200) as elsewhere, receiving((status, {"Location": str(elsewhere.url)})) as receiver:
        outcome = await delivered(receiver, give_up_after_s=2)
    assert isinstance(outcome, Undeliverable)
    assert outcome.why == f"HTTP {status}"
    assert elsewhere.asked == []


async def test_pauses_grow_to_a_limit(monkeypatch):
    monkeypatch.setattr(module.random, "uniform", lambda _low, high: high)
    clock = SteppingClock()
    async with receiving(500) as receiver, posting(receiver.target, clock) as webhook:
        await webhook.deliver(a_notice())
        assert webhook._pause_s(10**6, "x") == 60
    assert clock.pauses[:9] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert max(clock.pauses) == 60


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("30", 30.0), ("0", 0.0), ("299", 299.0), ("301", 300.0), ("999999999", 300.0), ("9999999999999", None)),
        *(("-1", None), ("1.5", None), ("soon", None), ("", None), ("٣", None), ("1, 2", None)),
        *(("in 30", 30.0), ("in 9000", 300.0), ("ago 30", 0.0), ("Mon, 99 Foo 2099 99:99:99 GMT", None)),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
async def test_retry_after(monkeypatch, value, expected):
    monkeypatch.setattr(module.random, "uniform", lambda _low, _high: 0.25)
    clock = SteppingClock()
    if value.startswith(("in ", "ago ")):
        word, seconds = value.split()
        at_s = clock.at_s + float(seconds) * (1 if word == "in" else -1)
        value = format_datetime(datetime.fromtimestamp(at_s, tz=UTC), usegmt=True)
    async with receiving((429, {"Retry-After": value}), 200) as receiver:
        assert isinstance(await delivered(receiver, clock), Delivered)
    if value.startswith("Fri, 31 Dec 9999"):  # as far away as can be, or not a date: either way bounded
        assert clock.pauses[0] in (0.25, 300)
    else:
        assert clock.pauses == [pytest.approx(0.25 if expected is None else max(expected, 0.25), abs=1)]


async def test_last_pause_is_cut():
    clock = SteppingClock()
    async with receiving((503, {"Retry-After": "250"})) as receiver:
        outcome = await delivered(receiver, clock, give_up_after_s=300)
    assert outcome == Undeliverable(why="HTTP 503", attempts=3)
    assert [round(pause) for pause in clock.pauses] == [250, 50]


async def test_silent_receiver_times_out():
    async with receiving(silent, 200) as receiver:
        assert await delivered(receiver, timeout_s=0.3) == Delivered(status=200, attempts=2)
    async with receiving(silent) as receiver:
        outcome = await delivered(receiver, timeout_s=0.2, give_up_after_s=0)
        assert outcome == Undeliverable(why="TimeoutError", attempts=1)


async def test_endless_body_is_taken():
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    async with receiving(dripping) as receiver:
        assert await delivered(receiver, timeout_s=0.5) == Delivered(status=200, attempts=1)


async def test_huge_answer_is_not_read():
    sent, ended = [0], asyncio.Event()

    async def flooding(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        try:
            while sent[0] < 2**30:
                await response.write(bytes(2**16))
                sent[0] += 2**16
        finally:
            ended.set()
        return response

    async with receiving(flooding, 200) as receiver, posting(receiver.target, SteppingClock()) as webhook:
        assert await webhook.deliver(a_notice()) == Delivered(status=200, attempts=1)
        async with asyncio.timeout(20):
            await ended.wait()
        assert sent[0] < 64 * 2**20, "the connection is dropped with the rest unread"
        for _ in range(2):
            assert await webhook.deliver(a_notice()) == Delivered(status=200, attempts=1)
    dropped, used, used_again = (asked.peer for asked in receiver.asked)
    assert dropped != used == used_again


JUNK = [
    *(b"", b"\x00" * 500, b"HTTP/1.1\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n"),
    *(b"HTTP/1.1 500 " + b"x" * 100_000 + b"\r\n\r\n", b"HTTP/1.1 500 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n"),
    *(b"HTTP/1.1 500 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 500 OK\r\nContent-Length: 9\r\n\r\nshort"),
    b"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 500 \xff\r\nRetry-After: \xff\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    b"HTTP/1.1 500 OK\r\nContent-Encoding: gzip\r\nContent-Type: \xff;charset=\xff\r\n\r\njunk",
    b"HTTP/1.1 500 OK\r\nSet-Cookie: \xff=\x01;;\r\n\r\njunk",
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
async def test_junk_is_a_failed_attempt(junk):
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(junk)

    async with raw_server(answer) as url:
        outcome = await delivered(WebhookTarget(url, allow_private=True), timeout_s=5, give_up_after_s=0)
    assert isinstance(outcome, Undeliverable)
    assert outcome.why == "HTTP 500" or outcome.why.isidentifier()


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *more], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def test_untrusted_certificate_is_refused(self_signed):
    async with receiving(200, ssl=self_signed) as receiver:
        outcome = await delivered(receiver, give_up_after_s=0)
    assert outcome == Undeliverable(why="ClientConnectorCertificateError", attempts=1)
    assert receiver.asked == []


async def test_proxy_is_not_used(monkeypatch):
    async with receiving(200) as proxy, receiving(200) as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, str(proxy.url.origin()))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert isinstance(await delivered(receiver), Delivered)
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("answers", "allow_private", "attempts"),
    [
        *(([answer], False, None) for answer in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"])),
        ([["127.0.0.1"]], True, 1),
        ([[], [], ["127.0.0.1"]], True, 3),
    ],
)
async def test_addresses_of_a_name(answers, allow_private, attempts):
    """An inward address is never connected to; a name server that is away is asked again."""
    async with receiving(200) as receiver:
        target = WebhookTarget(receiver.url.with_host("hooks.example.org"), allow_private=allow_private)
        outcome = await delivered(target, lookup=FakeLookup(*answers), give_up_after_s=20 if attempts else 0)
    if attempts is None:
        assert (outcome, receiver.asked) == (Undeliverable(why="TargetRefused", attempts=1), [])
    else:
        assert outcome == Delivered(status=200, attempts=attempts)
        assert receiver.asked[0].headers["Host"] == f"hooks.example.org:{receiver.url.port}"


async def test_every_connection_is_checked(monkeypatch):
    """DNS rebinding: a public answer for the check, a private one for the connection. There is no second look-up."""
    lookup, connected = FakeLookup(["8.8.8.8", "2606:4700:4700::1111"], ["127.0.0.1"]), list[str]()

    async def record(addr_infos: Any, **_: Any) -> Any:
        connected.extend(info[4][0] for info in addr_infos)
        raise OSError("recorded")

    monkeypatch.setattr(aiohttp.connector.aiohappyeyeballs, "start_connection", record)
    target = WebhookTarget(URL("https://hooks.example.org/"), allow_private=False)
    outcome = await delivered(target, lookup=lookup, give_up_after_s=5)
    assert isinstance(outcome, Undeliverable)
    assert outcome.why == "TargetRefused"
    assert outcome.attempts >= 2
    assert set(connected) == {"8.8.8.8", "2606:4700:4700::1111"}
    assert len(lookup.asked) == outcome.attempts


async def test_logs_hold_no_secret():
    async with receiving(500) as receiver:
        with capture_logs() as logs:
            outcome = await delivered(receiver, give_up_after_s=100)
    said = f"{logs} {outcome} {receiver.target} {a_notice()}"
    for secret in (PATH, "s3cret", "raised", KEY.hex(), str(receiver.url.port)):
        assert secret not in said
    assert [entry["event"] for entry in logs][:1] == ["webhook_failing"]
    assert len(logs) <= 100 / module.SAY_EVERY_S + 1
