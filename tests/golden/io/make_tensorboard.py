#!/usr/bin/env python3
"""Writes tensorboard.json: event records as TensorBoard's own writer makes them, in hexadecimal.

    python3 make_tensorboard.py    (made with tensorboard 2.21, protobuf 7.36)
"""

import io
import json
from pathlib import Path

from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


class Sink(io.BytesIO):
    def close(self):
        pass


def record(event):
    sink = Sink()
    RecordWriter(sink).write(event.SerializeToString())
    return sink.getvalue().hex()


version = event_pb2.Event(wall_time=1764000000.5, file_version="brain.Event:2")
restart = event_pb2.Event(wall_time=1764000000.5, step=301)
restart.session_log.status = event_pb2.SessionLog.START
scalars = event_pb2.Event(wall_time=1764000001.25, step=300)
for tag, value in (("loss", 3.1875), ("lr", 3e-4), ("größe", float("inf"))):
    scalars.summary.value.add(tag=tag, simple_value=value)

(Path(__file__).parent / "tensorboard.json").write_text(
    json.dumps({"version": record(version), "restart": record(restart), "scalars": record(scalars)}, indent=1) + "\n")
