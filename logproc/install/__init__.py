"""The Kubernetes objects of a deployment, from one source: `logproc install` prints them, and `deploy/kubernetes` is what it wrote.

`choice` is what was asked for, `parts` the pieces that several objects share, one module each the node agent, the loader, the sidecar,
the embedded store and OpenShift; `bundle` puts them together, `kustomize` lays them out as a base with overlays.
"""
