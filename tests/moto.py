"""moto's server, with and without its checks of keys and policies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import boto3
import httpx
from moto.server import ThreadedMotoServer


@contextmanager
def moto_server() -> Iterator[str]:
    """Give the address of a server that checks nothing; all that it made is forgotten at its end.

    moto keeps it for the whole process, and a module's server may be started twice in one: workers take tests from each other.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        _tell(f"http://{host}:{port}/moto-api/reset")
        server.stop()


@contextmanager
def checking_moto(users: Mapping[str, Sequence[str]], /) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """Give the address of a server that checks every request, and the access key of each user, who may do these actions.

    moto counts requests for the whole process, so the checks end with the server: other modules use moto without them.
    """
    with moto_server() as endpoint:
        root = {"aws_access_key_id": "fake-root", "aws_secret_access_key": "fake-root"}
        iam = boto3.client("iam", region_name="us-east-1", endpoint_url=endpoint, **root)
        keys = {}
        for user, actions in users.items():
            iam.create_user(UserName=user)
            if actions:
                allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
                iam.put_user_policy(UserName=user, PolicyName="roles", PolicyDocument=json.dumps(allowed))
            keys[user] = iam.create_access_key(UserName=user)["AccessKey"]
        _tell(f"{endpoint}/moto-api/reset-auth", b"0")
        try:
            yield endpoint, keys
        finally:
            _tell(f"{endpoint}/moto-api/reset-auth", b"inf")


def _tell(url: str, content: bytes = b"") -> None:
    httpx.post(url, content=content, trust_env=False, timeout=60).raise_for_status()
