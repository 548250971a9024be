# SPDX-License-Identifier: Apache-2.0
"""Images for scenarios, made by umoci as people make them; skopeo writes them as docker save does."""

import os
import pathlib
import subprocess


class Builder:
    """One image in a layout folder of its own: layers by `layer`, then `configure`, then an archive."""

    def __init__(self, folder, name):
        self.home = os.path.join(folder, f"image-{name}")
        self.layout, self.bundle = os.path.join(self.home, "layout"), os.path.join(self.home, "bundle")
        self.root = pathlib.Path(self.bundle, "rootfs")
        os.mkdir(self.home)
        self.umoci("init", "--layout", self.layout)
        self.umoci("new", "--image", self.image)
        self.umoci("unpack", "--image", self.image, self.bundle)

    @property
    def image(self):
        return f"{self.layout}:v1"

    def command(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=self.home)
        assert done.returncode == 0, f"{words[0]} {words[1]}: {done.stderr[-2000:]}"

    def umoci(self, verb, *words):
        self.command("umoci", verb, *words)

    def file(self, path, content, mode=0o644):
        where = self.root / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content)
        where.chmod(mode)
        return self

    def remove(self, path):
        (self.root / path).unlink()
        return self

    def link(self, path, target):
        os.symlink(target, self.root / path)
        return self

    def unpack(self, archive):
        """All that is in a rootfs archive."""
        self.command("tar", "--zstd", "-xf", archive, "-C", str(self.root))
        return self

    def layer(self):
        """What has changed since the last one, as a layer."""
        self.umoci("repack", "--refresh-bundle", "--image", self.image, self.bundle)
        return self

    def configure(self, **config):
        """Members of the configuration; lists become several."""
        words = [f"--config.{name}={one}" for name, value in config.items()
                 for one in (value if isinstance(value, list) else [value])]
        self.umoci("config", "--image", self.image, *words)
        return self

    def oci_archive(self):
        """A tar of the layout."""
        path = os.path.join(self.home, "oci.tar")
        self.command("tar", "-C", self.layout, "-cf", path, ".")
        return path

    def docker_archive(self):
        """What docker save writes."""
        path = os.path.join(self.home, "docker.tar")
        self.command("skopeo", "--insecure-policy", "copy", f"oci:{self.image}", f"docker-archive:{path}:tool:1")
        return path
