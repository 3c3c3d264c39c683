"""A detector group as a stranger would write one, after docs/DETECTOR_GROUPS.md alone: no import of the product.

Its detector is a rule on the submission id: `attack-...` is one, of `silent-...` it says nothing, all else is live.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

MODEL = {"name": "rule on ids", "version": "1", "sha256": hashlib.sha256(b"rule").hexdigest()}


def result(record, group):
    """The part for a record in binary mode of CloudEvents; None for a submission that the group doesn't answer."""
    given = {name: value.decode() for name, value in record.headers}
    ids = {
        "submission_id": given.get("ce_subject") or given["ce_id"],
        "correlation_id": given["ce_correlationid"].lower(),
        "tenant": given.get("ce_tenant"),
        "session_id": given.get("ce_sessionid"),
        "resource_id": given.get("ce_resourceid"),
    }
    if ids["submission_id"].startswith("silent"):
        return None
    attack = ids["submission_id"].startswith("attack")
    return {
        "version": 1,
        "group": group,
        "ids": ids,
        "part": None,
        "image_sha256": [hashlib.sha256(record.value).hexdigest()],
        "readings": [
            {
                "name": "flatness",
                "label": "Depth of the face",
                "status": "scored",
                "liveness": 0.1 if attack else 0.9,
                "reason": "flat" if attack else "",
                "detail": "The face is flat." if attack else "The face has depth.",
            }
        ],
        "models": [MODEL],
    }


async def main():
    parser = argparse.ArgumentParser()
    for name in ("servers", "submissions", "detections", "group-id", "name", "secret"):
        parser.add_argument(f"--{name}", default="")
    asked = parser.parse_args()
    consumer = AIOKafkaConsumer(
        asked.submissions,
        bootstrap_servers=asked.servers,
        group_id=asked.group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=asked.servers, acks="all")
    await consumer.start()
    await producer.start()
    async for record in consumer:
        part = result(record, asked.name)
        if part is not None:
            value = json.dumps(part).encode()
            headers = [
                ("ce_specversion", b"1.0"),
                ("ce_type", b"liveness.detection-part.v1"),
                ("ce_source", b"/depth"),
                ("ce_id", f"{record.partition}-{record.offset}".encode()),
                ("content-type", b"application/json"),
            ]
            if asked.secret:
                message = asked.detections.encode() + b"\n" + value
                mac = hmac.new(asked.secret.encode(), message, hashlib.sha256).hexdigest()
                headers.append(("liveness_group_mac", f"1:{mac}".encode()))
            key = part["ids"]["correlation_id"].encode()
            await producer.send_and_wait(asked.detections, value, key=key, headers=headers)
        await consumer.commit()


asyncio.run(main())
