"""Bodies of Events as PostgreSQL has them: deflated against a dictionary of what most Events have in common.

An Event has about 1 kB, of which two uids, names and times are its own: 170 bytes. PostgreSQL itself compresses no row of less
than 2 kB, whatever ``toast_tuple_target`` says, and has no dictionary.
"""

from __future__ import annotations

import zlib

LARGEST = 4096  # bytes of what is packed: more takes long on the event loop, and is compressed by PostgreSQL
_PACKED = b"\x01"  # no JSON begins so
_WINDOW = -12  # no header, 4 KiB of window: dictionary and Event, and little to set up for each

# What is stored was written with it: never change it. A better one gets another first byte beside this one. What is most
# common comes last, since what is nearer takes fewer bits.
_DICTIONARY = (
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
_PRIMED = zlib.compressobj(6, zlib.DEFLATED, _WINDOW, 5, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)


def pack(body: bytes) -> bytes:
    """What is stored for the JSON ``body``: sometimes itself."""
    if len(body) > LARGEST:
        return body
    packing = _PRIMED.copy()
    packed = _PACKED + packing.compress(body) + packing.flush()
    return packed if len(packed) < len(body) else body


def unpack(stored: bytes) -> bytes:
    """The bytes that were given to :func:`pack`."""
    if not stored.startswith(_PACKED):
        return stored
    return zlib.decompressobj(_WINDOW, _DICTIONARY).decompress(stored[len(_PACKED) :])
