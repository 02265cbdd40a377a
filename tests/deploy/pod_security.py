"""The rules of Pod Security's level `restricted`, as far as our pods could break them; the real admission is asked in tests/kube.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import Any

from tests.deploy.rendered import containers

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def violations(spec: dict[str, Any], *, openshift: bool = False) -> list[str]:
    """What a pod has that the level forbids, each once; OpenShift chooses the user of pods that name none."""
    found = [f"{key}: true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += [f"{kind} volume {v['name']}" for v in spec["volumes"] for kind in v if kind not in {*_VOLUMES, "name"}]
    pod = spec.get("securityContext", {})
    for container in containers(spec):
        own = container.get("securityContext", {})
        both = {**pod, **own}
        rights = own.get("capabilities", {})
        if own.get("privileged"):
            found.append("privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if rights.get("drop") != ["ALL"] or set(rights.get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append("capabilities")
        if both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            found.append("seccomp")
        if both.get("runAsUser") == 0 or both.get("runAsNonRoot") is not True:
            found.append("runs as root")
        if both.get("seLinuxOptions", {}).get("type", "") not in _SELINUX:
            found.append(f"SELinux type {both['seLinuxOptions']['type']}")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append("hostPort")
        if not openshift and "runAsUser" not in both:
            found.append("no user: the image's would be taken")
    return list(dict.fromkeys(found))
