"""The Kubernetes API: can it be asked, and what may this service account see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from logproc.doctor.finding import Finding, bad, clock, good
from logproc.kube_api import Access, Api, ApiError

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
HTTP_PRECISION = 1.0


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that has to be allowed; `what` it is good for."""

    verb: str
    resource: str
    what: str
    namespace: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """As `kubectl auth can-i` has it."""
        kind, _, sub = self.resource.partition("/")
        words = [self.verb, f"{kind}{'/' + sub if sub else ''}" + (f"/{self.name}" if self.name else "")]
        return " ".join([*words, *(["-n", self.namespace] if self.namespace else [])])

    def allowed(self, api: Api) -> bool:
        """Ask. Raises ApiError."""
        kind, _, sub = self.resource.partition("/")
        asked = {"verb": self.verb, "resource": kind, "subresource": sub, "namespace": self.namespace, "name": self.name}  # fmt: skip
        answer = api.post(
            REVIEWS,
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {k: v for k, v in asked.items() if v}},
            },
        )
        return bool(answer.get("status", {}).get("allowed"))


def rights(mesh_config: str) -> list[Right]:
    """What a collector asks for."""
    namespace, _, name = mesh_config.partition("/")
    pods = [Right(verb, "pods", "labels of pods: app and version of rows, and -l") for verb in ("list", "watch")]
    mesh = [
        Right(verb, "configmaps", "the mesh's own log format", namespace, name) for verb in ("get", "list", "watch")
    ]
    return pods + (mesh if name else [])


def check(access: Access, mesh_config: str) -> Iterator[Finding]:
    """Rights and clock. What is missing costs columns, not lines, so it names what."""
    api = Api(access)
    try:
        told = api.date()
        missing = [right for right in rights(mesh_config) if not right.allowed(api)]
    except ApiError as error:
        yield bad("kubernetes", access.server, error.message, error.hint or "see the NetworkPolicy, the service account's token, and --kubeconfig; without the API: --no-kubernetes")  # fmt: skip
        return
    finally:
        api.close()
    for right in missing:
        yield bad("kubernetes", access.server, f"may not {right.text}: {right.what}", "apply the Roles that `logproc install --print --daemonset` prints")  # fmt: skip
    if not missing:
        yield good("kubernetes", access.server, "may see pods and the mesh config")
    if told:
        theirs = parsedate_to_datetime(told)
        yield clock(access.server, theirs.replace(tzinfo=UTC) if theirs.tzinfo is None else theirs, HTTP_PRECISION)
