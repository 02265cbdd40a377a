"""What OpenShift wants besides: a security context constraint, since nothing may mount a node's folders there by default."""

from __future__ import annotations

from collections.abc import Sequence

from logproc.install import parts
from logproc.install.choice import Choice
from logproc.install.parts import Object

SELINUX = {"type": "spc_t"}
"""Logs are container_log_t and the state folder is var_lib_t: of the types that may read the one and write the other this is the usual one of node agents."""

RIGHTS = ("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE", "KILL")


def constraint(choice: Choice, name: str, component: str) -> Object:
    """As narrow as mounting two folders of the node allows, for one service account."""
    return {
        "apiVersion": "security.openshift.io/v1",
        "kind": "SecurityContextConstraints",
        "metadata": parts.metadata(name, component),
        # As without one; but the API refuses objects that do not say so.
        "priority": 0,
        "allowHostDirVolumePlugin": True,
        "allowHostIPC": False,
        "allowHostNetwork": False,
        "allowHostPID": False,
        "allowHostPorts": False,
        "allowPrivilegeEscalation": False,
        "allowPrivilegedContainer": False,
        "allowedCapabilities": [],
        "defaultAddCapabilities": [],
        "requiredDropCapabilities": list(RIGHTS),
        "readOnlyRootFilesystem": True,
        "runAsUser": {"type": "RunAsAny"},
        "seLinuxContext": {"type": "MustRunAs", "seLinuxOptions": SELINUX},
        "fsGroup": {"type": "RunAsAny"},
        "supplementalGroups": {"type": "RunAsAny"},
        "seccompProfiles": ["runtime/default"],
        "volumes": ["configMap", "downwardAPI", "emptyDir", "hostPath", "projected", "secret"],
        "groups": [],
        "users": [f"system:serviceaccount:{choice.namespace}:{name}"],
    }


def adapted(objects: Sequence[Object], choice: Choice) -> list[Object]:
    """The objects with what OpenShift adds: DaemonSets get their SELinux type and a constraint."""
    made: list[Object] = []
    for kept in objects:
        if kept["kind"] == "DaemonSet":
            pod = kept["spec"]["template"]["spec"]
            pod["securityContext"] = pod["securityContext"] | {"seLinuxOptions": SELINUX}
            made.append(constraint(choice, pod["serviceAccountName"], kept["metadata"]["labels"][_COMPONENT]))
        made.append(kept)
    return made


_COMPONENT = "app.kubernetes.io/component"
