"""Fields of Kubernetes objects, compared with the types that the official client generates from the API's OpenAPI description."""

from __future__ import annotations

import re
from typing import Any

KINDS = {
    ("v1", "Namespace"): "V1Namespace",
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("v1", "Service"): "V1Service",
    ("v1", "Pod"): "V1Pod",
    ("apps/v1", "DaemonSet"): "V1DaemonSet",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
    ("scheduling.k8s.io/v1", "PriorityClass"): "V1PriorityClass",
    ("rbac.authorization.k8s.io/v1", "Role"): "V1Role",
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): "V1ClusterRole",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "V1RoleBinding",
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): "V1ClusterRoleBinding",
}
CONSTRAINT = ("security.openshift.io/v1", "SecurityContextConstraints")
CONSTRAINT_FIELDS = {
    **dict.fromkeys(("allowHostDirVolumePlugin", "allowHostIPC", "allowHostNetwork", "allowHostPID", "allowHostPorts"), "boolean"),
    **dict.fromkeys(("allowPrivilegeEscalation", "allowPrivilegedContainer", "readOnlyRootFilesystem"), "boolean"),
    **dict.fromkeys(("allowedCapabilities", "defaultAddCapabilities", "requiredDropCapabilities"), "array"),
    **dict.fromkeys(("groups", "seccompProfiles", "users", "volumes"), "array"),
    **dict.fromkeys(("fsGroup", "metadata", "runAsUser", "seLinuxContext", "supplementalGroups"), "object"),
    **dict.fromkeys(("apiVersion", "kind"), "string"),
    "priority": "integer",
}  # fmt: skip
"""Of a kind that the client does not know, the fields that are used here; tests/kube compares them with OpenShift's own description."""

CONSTRAINT_REQUIRED = {
    "allowHostDirVolumePlugin", "allowHostIPC", "allowHostNetwork", "allowHostPID", "allowHostPorts", "allowPrivilegedContainer",
    "allowedCapabilities", "defaultAddCapabilities", "priority", "readOnlyRootFilesystem", "requiredDropCapabilities", "volumes",
}  # fmt: skip

_JSON_TYPES = {"boolean": bool, "array": list, "object": dict, "string": str, "integer": int}
_SIMPLE = {"str": str, "int": int, "bool": bool, "float": float}


def unknown_fields(kept: dict[str, Any]) -> list[str]:
    """Fields that the API does not have, or wants and has not got, or with a value of another type."""
    key = (kept["apiVersion"], kept["kind"])
    if key == CONSTRAINT:
        wrong = [f"{k}: unknown" for k in kept.keys() - CONSTRAINT_FIELDS.keys()]
        wrong += [
            f"{k}: {CONSTRAINT_FIELDS[k]} was expected"
            for k, v in kept.items()
            if k in CONSTRAINT_FIELDS and not isinstance(v, _JSON_TYPES[CONSTRAINT_FIELDS[k]])
        ]
        return wrong + [f"{field}: missing" for field in CONSTRAINT_REQUIRED - set(kept)]
    return list(_compare(kept, KINDS[key], ""))


def _compare(value: Any, type_name: str, path: str) -> list[str]:
    if type_name in {"object", "Any", "datetime", "IntOrString"}:
        return []
    if type_name in _SIMPLE:
        right = isinstance(value, _SIMPLE[type_name]) and not (type_name == "int" and isinstance(value, bool))
        return [] if right else [f"{path}: {type_name} was expected"]
    if match := re.fullmatch(r"[lL]ist\[(.+)\]", type_name):
        if not isinstance(value, list):
            return [f"{path}: a list was expected"]
        return [f for n, item in enumerate(value) for f in _compare(item, match[1], f"{path}[{n}]")]
    if match := re.fullmatch(r"[dD]ict\(str, (.+)\)|[dD]ict\[str, (.+)\]", type_name):
        if not isinstance(value, dict):
            return [f"{path}: a map was expected"]
        return [f for k, item in value.items() for f in _compare(item, match[1] or match[2], f"{path}.{k}")]
    return _compare_object(value, type_name, path)


def _compare_object(value: Any, type_name: str, path: str) -> list[str]:
    from kubernetes.client import models

    model = getattr(models, type_name)
    if not isinstance(value, dict):
        return [f"{path}: an object was expected"]
    types = {json_name: model.openapi_types[name] for name, json_name in model.attribute_map.items()}
    found = []
    for key, item in value.items():
        place = f"{path}.{key}".lstrip(".")
        found += _compare(item, types[key], place) if key in types else [f"{place}: unknown"]
    return found
