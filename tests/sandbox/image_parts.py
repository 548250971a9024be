# SPDX-License-Identifier: Apache-2.0
"""What images.py makes images of: an OCI image layout byte by byte. Needs only Python and zstd."""

import gzip
import hashlib
import json
import platform
import subprocess
import tarfile

from tars import file, info, tar

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
MANIFEST, IMAGE_INDEX, CONFIG = OCI + "manifest.v1+json", OCI + "index.v1+json", OCI + "config.v1+json"
LAYER, GZIP, ZSTD = OCI + "layer.v1.tar", OCI + "layer.v1.tar+gzip", OCI + "layer.v1.tar+zstd"


# ---- parts ----

def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dump(document):
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def device(name, kind=tarfile.CHRTYPE):
    return info(name, kind), None


class Image:
    """An OCI image layout in the making; `lie` changes a part after everything that names it was made."""

    def __init__(self, *layers, config=None, kind=LAYER, **more):
        self.members = {"oci-layout": dump({"imageLayoutVersion": "1.0.0"})}
        self.kinds = kind if isinstance(kind, list) else [kind] * len(layers)
        self.tars = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
        pack = {LAYER: bytes, GZIP: gzip.compress, ZSTD: zstd}
        self.packed = [pack.get(kind, bytes)(data) for kind, data in zip(self.kinds, self.tars)]
        self.config = {"architecture": MACHINE, "os": "linux", "config": config or {},
                       "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in self.tars]}, **more}
        self.manifest = self.index = None

    def blob(self, data, kind, **more):
        data = dump(data)
        self.members[f"blobs/sha256/{sha256(data)[7:]}"] = data
        return {"mediaType": kind, "digest": sha256(data), "size": len(data), **more}

    def layers(self):
        return [self.blob(data, kind) for data, kind in zip(self.packed, self.kinds)]

    def finish(self, manifest=None, index=None, **of_manifest):
        """The members, with what is given in place of what would be made."""
        config = self.blob(self.config, CONFIG)
        made = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": self.layers(), **of_manifest}
        self.manifest = self.blob(manifest(made) if manifest else made, MANIFEST)
        made = {"schemaVersion": 2, "manifests": [self.manifest]}
        self.members["index.json"] = dump(index(self, made) if index else made)
        return self.members

    def docker(self, layers=None, **more):
        """The same image as docker save writes it."""
        config = dump(self.config)
        names = [f"{number}/layer.tar" for number in range(len(self.packed))]
        members = {f"{sha256(config)[7:]}.json": config, **dict(zip(names, self.packed))}
        members["manifest.json"] = dump([{"Config": f"{sha256(config)[7:]}.json", "RepoTags": ["tool:1"],
                                          "Layers": layers or names, **more}])
        return members


def archive(members):
    return tar([file(name, data) if isinstance(data, bytes) else (data, None) for name, data in members.items()])
