"""What a user may do at a broker with authorisation on, said in the words of Kafka's `kafka-acls`.

The tool itself starts a JVM for each line; this sends the same requests, through the door where everybody may do all.
"""

import argparse
import shlex
from collections.abc import Iterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from tests.support.kafka.broker import Broker

__all__ = ["kafka_acls"]

# The numbers of the protocol.
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8, "DescribeConfigs": 10,
              "AlterConfigs": 11, "IdempotentWrite": 12}  # fmt: skip
RESOURCES = {"topic": 2, "group": 3, "transactional_id": 5}
PATTERNS = {"literal": 3, "prefixed": 4}
ALLOW = 3
ANY_HOST = "*"

Acl = tuple[int, str, int, str, str, int, int]


async def kafka_acls(broker: Broker, line: str) -> None:
    """Do what `kafka-acls` does with the arguments of `line`, whatever stands before the first `--add` or `--remove`.

    As in `--add --allow-principal User:alice --operation Read --topic orders`. In force when this returns.
    """
    told = _parser().parse_known_args(shlex.split(line))[0]
    client = AIOKafkaAdminClient(bootstrap_servers=broker.internal)
    await client.start()
    try:
        for acl in _acls(told):
            answer = await client._send_to_controller(CreateAclsRequest(*acl) if told.add else DeleteAclsRequest(*acl))
            ((error, message, *matched),) = answer.creation_responses if told.add else answer.filter_responses
            assert error == 0, message
            assert told.add or matched[0], f"there is no such rule to remove: {line}"
    finally:
        await client.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    whether = parser.add_mutually_exclusive_group(required=True)
    whether.add_argument("--add", action="store_true")
    whether.add_argument("--remove", action="store_true")
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", choices=OPERATIONS, required=True)
    for resource in RESOURCES:
        parser.add_argument(f"--{resource.replace('_', '-')}", action="append", default=[])
    parser.add_argument("--resource-pattern-type", choices=PATTERNS, default="literal")
    return parser


def _acls(told: argparse.Namespace) -> Iterator[Acl]:
    pattern, principal = PATTERNS[told.resource_pattern_type], told.allow_principal
    for resource, number in RESOURCES.items():
        for name in getattr(told, resource):
            for operation in told.operation:
                yield number, name, pattern, principal, ANY_HOST, OPERATIONS[operation], ALLOW
