"""A small API server of ours, which is no Kubernetes: it knows tokens and client certificates, and answers SelfSubjectReview."""

from __future__ import annotations

import json
from importlib.resources import files

from cloud_integrations.domain.provider import Provider
from cloud_integrations.providers.files import read_provider

from .authorities import TlsServer, authority

TOKEN = "eyJhbGciOiJub25lIn0.ZmFrZS1zZXJ2aWNlLWFjY291bnQ.fake-token-5d1c"
ROBOT = "system:serviceaccount:product-access:product-access"
ADMIN = "ada"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
FILE = (files("cloud_integrations.providers") / "kubernetes.toml").read_text(encoding="utf-8")
NEAR_FILE = f"loopback = true\n{FILE}"
"""The built-in file, for servers on this machine."""


def near_provider() -> Provider:
    return read_provider(NEAR_FILE.encode, where="kubernetes.toml")


class ApiServer(TlsServer):
    """`tokens` and `people` say who is known; `anonymous` is whether strangers get an answer as `system:anonymous`."""

    def __init__(self, *, tmp_path, host="127.0.0.1"):
        super().__init__(*authority().issue(host), clients=authority("Clients").pem, tmp_path=tmp_path)
        self.tokens = {TOKEN: ROBOT}
        self.people = {ADMIN}
        self.anonymous = "off"
        self.answer = self._answer

    def _answer(self, name, authorization):
        http_method, path, _, sent = self.asked[-1]
        if (http_method, path) != ("POST", REVIEWS) or json.loads(sent).get("kind") != "SelfSubjectReview":
            return 404, _status(404, "the server could not find the requested resource")
        known = self.tokens.get((authorization or "").removeprefix("Bearer ")) or (name if name in self.people else None)
        if known is None and (authorization or name or self.anonymous == "off"):
            return 401, _status(401, "Unauthorized")
        if known is None and self.anonymous == "forbidden":
            what = 'cannot create resource "selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope'
            return 403, _status(403, f'selfsubjectreviews.authentication.k8s.io is forbidden: User "system:anonymous" {what}')
        user = {"username": known or "system:anonymous", "groups": ["system:authenticated"]}
        return 201, {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "status": {"userInfo": user}}


def _status(code, message):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code}
