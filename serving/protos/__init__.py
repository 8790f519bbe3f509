"""Messages that the installed packages leave out: TensorFlow Serving's files, and gRPC's health.

Built from a description in Python, so that no compiler is needed; the `.proto` texts are beside it,
and a test compares them field by field.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "tensorflow.serving"
_HEALTH_PACKAGE = "grpc.health.v1"
_INT64, _STRING = ".google.protobuf.Int64Value", ".google.protobuf.StringValue"

BATCHING = descriptor_pb2.DescriptorProto(
    name="BatchingParameters",
    field=[
        _Field(name=name, number=number, label=label, type=kind, type_name=type_name)
        for name, number, label, kind, type_name in (
            ("max_batch_size", 1, _Field.LABEL_OPTIONAL, _Field.TYPE_MESSAGE, _INT64),
            ("batch_timeout_micros", 2, _Field.LABEL_OPTIONAL, _Field.TYPE_MESSAGE, _INT64),
            ("max_enqueued_batches", 3, _Field.LABEL_OPTIONAL, _Field.TYPE_MESSAGE, _INT64),
            ("num_batch_threads", 4, _Field.LABEL_OPTIONAL, _Field.TYPE_MESSAGE, _INT64),
            ("thread_pool_name", 5, _Field.LABEL_OPTIONAL, _Field.TYPE_MESSAGE, _STRING),
            ("allowed_batch_sizes", 6, _Field.LABEL_REPEATED, _Field.TYPE_INT64, None),
            ("pad_variable_length_inputs", 7, _Field.LABEL_OPTIONAL, _Field.TYPE_BOOL, None),
        )
    ],
)
PROMETHEUS = descriptor_pb2.DescriptorProto(
    name="PrometheusConfig",
    field=[
        _Field(name="enable", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_BOOL),
        _Field(name="path", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING),
    ],
)
MONITORING = descriptor_pb2.DescriptorProto(
    name="MonitoringConfig",
    field=[
        _Field(
            name="prometheus_config",
            number=1,
            label=_Field.LABEL_OPTIONAL,
            type=_Field.TYPE_MESSAGE,
            type_name=f".{_PACKAGE}.PrometheusConfig",
        )
    ],
)
SSL = descriptor_pb2.DescriptorProto(
    name="SSLConfig",
    field=[
        _Field(name=name, number=number, label=_Field.LABEL_OPTIONAL, type=kind)
        for number, (name, kind) in enumerate(
            (
                ("server_key", _Field.TYPE_STRING),
                ("server_cert", _Field.TYPE_STRING),
                ("custom_ca", _Field.TYPE_STRING),
                ("client_verify", _Field.TYPE_BOOL),
            ),
            start=1,
        )
    ],
)

HEALTH_REQUEST = descriptor_pb2.DescriptorProto(
    name="HealthCheckRequest",
    field=[_Field(name="service", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)],
)
HEALTH_RESPONSE = descriptor_pb2.DescriptorProto(
    name="HealthCheckResponse",
    field=[
        _Field(
            name="status",
            number=1,
            label=_Field.LABEL_OPTIONAL,
            type=_Field.TYPE_ENUM,
            type_name=f".{_HEALTH_PACKAGE}.HealthCheckResponse.ServingStatus",
        )
    ],
    enum_type=[
        descriptor_pb2.EnumDescriptorProto(
            name="ServingStatus",
            value=[
                descriptor_pb2.EnumValueDescriptorProto(name=name, number=number)
                for number, name in enumerate(
                    ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
                )
            ],
        )
    ],
)

# A pool of their own: another package may register the same names in the default one.
_pool = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
_pool.Add(
    descriptor_pb2.FileDescriptorProto(
        name="dexmatch/serving.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
        message_type=[BATCHING, PROMETHEUS, MONITORING, SSL],
    )
)

_pool.Add(
    descriptor_pb2.FileDescriptorProto(
        name="dexmatch/health.proto",
        package=_HEALTH_PACKAGE,
        syntax="proto3",
        message_type=[HEALTH_REQUEST, HEALTH_RESPONSE],
    )
)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(name))


BatchingParameters = _message(f"{_PACKAGE}.BatchingParameters")
MonitoringConfig = _message(f"{_PACKAGE}.MonitoringConfig")
SSLConfig = _message(f"{_PACKAGE}.SSLConfig")
HealthCheckRequest = _message(f"{_HEALTH_PACKAGE}.HealthCheckRequest")
HealthCheckResponse = _message(f"{_HEALTH_PACKAGE}.HealthCheckResponse")
