"""Bodies as PostgreSQL has them: compressed against a dictionary of what most of them have in common.

An object of a control plane has little of its own: uids, names and times. PostgreSQL compresses no row of less than 2 kB, has no
dictionary, and takes ten times as long. The first dictionary is below; better ones are learned from what is stored
(:mod:`kafila.store.dictionaries`). What is stored names the one that it needs:

    02  id of the dictionary (4 bytes)  size of the JSON (2 bytes)  a zstd frame without magic and size

What does not begin with a byte below is JSON (or sealed): older rows, and what is too large or does not become smaller.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from typing import Final, final

import zstandard

LARGEST: Final = 0xFFFF  # bytes of what is packed: more takes long on the event loop, and is compressed by PostgreSQL
LEVEL: Final = 3
_DEFLATED: Final = b"\x01"  # bodies of Events until schema 0004
_PACKED: Final = b"\x02"
_HEAD: Final = 7  # bytes before the frame
_WINDOW: Final = -12  # of what is deflated: no header, 4 KiB

SIZE: Final = (
    "CASE WHEN octet_length({0}) > 7 AND get_byte({0}, 0) = 2 THEN get_byte({0}, 5) * 256 + get_byte({0}, 6)"
    " ELSE octet_length({0}) END"
)
"""The size of a body in SQL before it is unpacked; ``{0}`` is its column."""

# What is stored was written with it: never change it. What is most common comes last: what is nearer takes fewer bits.
BASE = (
    b'"FailedScheduling","BackOff","Killing","Created","Started","Pulled","Scheduled","SuccessfulCreate","ScalingReplicaSet",'
    b'"Warning","source":{"component":"kubelet","host":"","deployment-controller","eventTime":null,"reportingInstance":"",'
    b'"cluster.karmada.io/v1alpha1","policy.karmada.io/v1alpha1","kind":"Cluster","name":"member","kind":"Namespace",'
    b'"StatefulSet","DaemonSet","apiVersion":"batch/v1","kind":"Job","kind":"Secret","kind":"ConfigMap","kind":"Service",'
    b'"namespace":"default","apiVersion":"v1","apiVersion":"v1","resourceVersion":"'
    b'"reason":"CreateExecutionSpaceSucceed","message":"Create execution space(karmada-es-) for cluster() succeed.",'
    b'"reason":"ScheduleBindingFailed","message":"0/3 clusters are available: ","reason":"ApplyPolicyFailed",'
    b'"message":"No policy match for resource","reason":"SyncFailed","message":"Failed to ","reason":"SyncWorkFailed",'
    b'"reason":"GetReplicasSucceed","message":"Get replicas of resource template successfully.","type":"Normal",'
    b'"source":{"component":"resource-detector"},"reportingComponent":"resource-detector","firstTimestamp":"'
    b'"reason":"ApplyPolicySucceed","message":"Apply policy(default/) succeed","type":"Normal",'
    b'"source":{"component":"default-scheduler"},"reportingComponent":"default-scheduler","firstTimestamp":"'
    b'"reason":"ScheduleBindingSucceed","message":"Binding has been scheduled successfully. Result: {member1:1, member2:1}",'
    b'"source":{"component":"resource-binding-status-controller"},"reportingComponent":"resource-binding-status-controller",'
    b'"reason":"AggregateStatusSucceed","message":"Update ResourceBinding() with AggregatedStatus successfully.",'
    b'"message":"Update Resource with AggregatedStatus successfully.","type":"Normal",'
    b'"source":{"component":"work-status-controller"},"reportingComponent":"work-status-controller","firstTimestamp":"'
    b'"reason":"InterpretHealthSucceed","message":"Interpret health of object(Deployment/default/) as healthy.",'
    b'"reason":"ReflectStatusSucceed","message":"Reflect status for object(Deployment/default/) succeed.",'
    b'"reason":"WorkDispatching","message":"Work is being dispatched to member clusters.",'
    b'"source":{"component":"binding-controller"},"reportingComponent":"binding-controller","firstTimestamp":"'
    b'"reason":"SyncWorkSucceed","message":"Sync work of ResourceBinding(default/-deployment) successful.",'
    b'"kind":"ResourceBinding","apiVersion":"work.karmada.io/v1alpha2","resourceVersion":"'
    b'"reason":"SyncSucceed","message":"Sync work(karmada-es-/) to cluster() successful.",'
    b'"message":"Successfully applied resource(default/) to cluster member1","type":"Normal",'
    b'"source":{"component":"execution-controller"},"reportingComponent":"execution-controller",'
    b'"apiVersion":"apps/v1","kind":"Deployment","namespace":"default",'
    b'"apiVersion":"work.karmada.io/v1alpha1","kind":"Work","namespace":"karmada-es-member1",'
    b'{"metadata":{"name":"-deployment.18","namespace":"default","uid":"","creationTimestamp":"2026-12-01T00:00:00Z",'
    b'"managedFields":[{"manager":"kafila","operation":"Update","apiVersion":"v1","time":"2026-12-01T00:00:00Z",'
    b'"fieldsType":"FieldsV1","fieldsV1":{"f:count":{},"f:firstTimestamp":{},"f:involvedObject":{},"f:lastTimestamp":{},'
    b'"f:message":{},"f:reason":{},"f:reportingComponent":{},"f:source":{"f:component":{}},"f:type":{}}}]},'
    b'"involvedObject":{"kind":"","namespace":"","name":"","uid":"","apiVersion":"","resourceVersion":""},"reason":"",'
    b'"message":"","type":"Normal","source":{"component":""},"reportingComponent":"","firstTimestamp":"2026-12-01T00:00:00Z",'
    b'"lastTimestamp":"2026-12-01T00:00:00Z","count":1}'
)


class MissingDictionary(Exception):
    """A body was packed with one that is not here yet."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the dictionary {number} with which a body is packed is not known")
        self.number = number


def number_of(content: bytes) -> int:
    """A dictionary's id: the same in every database, so that no two can ever be taken for each other."""
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "big")


@final
class Packing:
    """The dictionaries of one database, and the two that are used for what is written now."""

    def __init__(self) -> None:
        self.contents: dict[int, bytes] = {}
        self._tools = _Tools(self)
        self.base = self.add(BASE)
        self.of_objects = self.of_events = self.base

    def add(self, content: bytes) -> int:
        number = number_of(content)
        self.contents[number] = content
        return number

    def pack(self, body: bytes, event: bool = False) -> bytes:
        """What is stored for the JSON ``body``: sometimes itself."""
        return self.packed(body, self.of_events if event else self.of_objects)

    def packed(self, body: bytes, number: int) -> bytes:
        """By one certain dictionary."""
        size = len(body)
        if size > LARGEST:
            return body
        frame = self._tools.compressor(number).compress(body)
        if len(frame) + _HEAD >= size:
            return body
        return b"".join((_PACKED, number.to_bytes(4, "big"), size.to_bytes(2, "big"), frame))

    def lacks(self, stored: bytes) -> bool:
        """Whether another dictionary is needed to unpack it."""
        return stored[:1] == _PACKED and int.from_bytes(stored[1:5], "big") not in self.contents

    def unpack(self, stored: bytes) -> bytes:
        """The bytes that were given to :meth:`pack`. Raises MissingDictionary."""
        first = stored[:1]
        if first == _PACKED:
            decompressor = self._tools.decompressor(int.from_bytes(stored[1:5], "big"))
            return decompressor.decompress(stored[_HEAD:], int.from_bytes(stored[5:7], "big"))
        if first == _DEFLATED:
            return zlib.decompressobj(_WINDOW, BASE).decompress(stored[1:], LARGEST)
        return stored


class _Tools(threading.local):
    """zstd's contexts, which no two threads may use at once."""

    def __init__(self, packing: Packing) -> None:
        self._contents = packing.contents
        self._compressors: dict[int, zstandard.ZstdCompressor] = {}
        self._decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def compressor(self, number: int) -> zstandard.ZstdCompressor:
        found = self._compressors.get(number)
        if found is None:
            dictionary = self._dictionary(number)
            parameters = zstandard.ZstdCompressionParameters.from_level(
                LEVEL,
                source_size=4096,
                dict_size=len(self._contents[number]),
                format=zstandard.FORMAT_ZSTD1_MAGICLESS,
                write_checksum=False,
                write_content_size=False,
                write_dict_id=False,
            )
            dictionary.precompute_compress(compression_params=parameters)
            found = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
            self._compressors[number] = found
        return found

    def decompressor(self, number: int) -> zstandard.ZstdDecompressor:
        found = self._decompressors.get(number)
        if found is None:
            found = zstandard.ZstdDecompressor(
                dict_data=self._dictionary(number), format=zstandard.FORMAT_ZSTD1_MAGICLESS
            )
            self._decompressors[number] = found
        return found

    def _dictionary(self, number: int) -> zstandard.ZstdCompressionDict:
        try:
            content = self._contents[number]
        except KeyError:
            raise MissingDictionary(number) from None
        return zstandard.ZstdCompressionDict(content)  # trained ones are known by their first bytes


_FIRST: Final = Packing()


def pack(body: bytes) -> bytes:
    """By the dictionary that every program has: what is sealed can be opened without another."""
    return _FIRST.pack(body)


def unpack(stored: bytes) -> bytes:
    """What was given to :func:`pack`."""
    return _FIRST.unpack(stored)
