#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes images, harmless and hostile, in the folder given, and there `index`: one line an image,
`name TAB ok|refused TAB what the reason says TAB what the image says of its start TAB its tree`, the last two as
JSON: files by their content, links as "-> target", folders as "/". Every image is built here byte by byte, so that
each lie in it is one that is told on purpose. Needs only Python and zstd."""

import gzip
import json
import os
import sys
import tarfile

sys.dont_write_bytecode = True
from image_parts import DOCKER, GZIP, IMAGE_INDEX, LAYER, MACHINE, OCI, ZSTD, Image, archive, device, dump, sha256, zstd
from tars import file, folder, hardlink, symlink, tar

FOLDER = sys.argv[1]
INDEX = []
EMPTY = {"entrypoint": [], "cmd": [], "env": {}, "working_dir": "/"}


def save(name, data, expected, reason="", start=None, tree=None):
    with open(os.path.join(FOLDER, name), "wb") as out:
        out.write(data)
    INDEX.append("\t".join((name, expected, reason, *(json.dumps(said) if said else "" for said in (start, tree)))))


def ok(name, members, start=None, pack=bytes, tree=None):
    save(name, pack(archive(members)), "ok", "", start or EMPTY, tree)


def refused(name, reason, members):
    save(name, archive(members), "refused", reason)


def layered(name, tree, *layers):
    """Layers over layers; what a tree does not say of a file's content is `content`."""
    ok(name, Image(*layers).finish(), tree={path: said or "content" for path, said in tree.items()})


def bad_layers(name, reason, *layers, **more):
    refused(name, reason, Image(*layers, **more).finish())


# ---- what ought to work ----

TOOL = file("usr/bin/tool", b"#!tool", 0o755)
BASE = [folder("usr"), folder("usr/bin"), TOOL, folder("etc"), file("etc/low"), file("etc/gone"),
        folder("opt"), file("opt/low"), folder("opt/deep"), file("opt/deep/low"), symlink("bin", "usr/bin")]
UPPER = [folder("etc"), file("etc/high"), file("etc/.wh.gone", b""), file("opt/high"), file("opt/.wh..wh..opq", b""),
         hardlink("usr/bin/same", "usr/bin/tool"), file("bin/through", b"#!t", 0o755)]
PLAIN = Image(BASE, UPPER, config={"Entrypoint": ["tool"], "Cmd": ["a", "b"], "Env": ["PATH=/bin:/usr/bin", "A=b=c"],
                                   "WorkingDir": "/srv/", "User": "1000:1001"})
START = {"entrypoint": ["/bin/tool"], "cmd": ["a", "b"], "env": {"PATH": "/bin:/usr/bin", "A": "b=c"},
         "working_dir": "/srv", "user": "1000:1001", "program": "/usr/bin/tool"}
ok("plain.tar", PLAIN.finish(), START, tree={
    "usr": "/", "usr/bin": "/", "usr/bin/tool": "#!tool", "usr/bin/same": "#!tool", "usr/bin/through": "#!t", "bin": "-> usr/bin",
    "etc": "/", "etc/low": "content", "etc/high": "content", "opt": "/", "opt/high": "content", "srv": "/"})
ok("plain.tar.gz", PLAIN.finish(), START, gzip.compress)
ok("plain.tar.zst", PLAIN.finish(), START, zstd)
for kind, label in ((GZIP, "gzip"), (ZSTD, "zstd")):
    ok(f"layers_{label}.tar", Image(BASE, UPPER, config=PLAIN.config["config"], kind=kind).finish(), START)
ok("docker.tar", PLAIN.docker(), START)
ok("docker_gzip.tar", Image(BASE, UPPER, config=PLAIN.config["config"], kind=GZIP).docker(), START)
ok("docker_link.tar", {**PLAIN.docker(["0/layer.tar", "x/layer.tar"]), "x/layer.tar": symlink("x/layer.tar", "../1/layer.tar")[0]}, START)
ok("both.tar", {**PLAIN.finish(), "manifest.json": b"not looked at"}, START)
ok("dots.tar", {f"./{name}": data for name, data in PLAIN.finish().items()}, START)

NESTED = Image(BASE)


def nested(image, made):
    """An index of an index, beside an image for another machine and an attestation."""
    inner = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [
        {**image.manifest, "platform": {"os": "linux", "architecture": MACHINE}},
        {**image.manifest, "digest": sha256(b"other"), "platform": {"os": "linux", "architecture": "s390x"}},
        {**image.manifest, "digest": sha256(b"words"), "platform": {"os": "unknown", "architecture": "unknown"}}]}
    return {**made, "manifests": [image.blob(inner, IMAGE_INDEX)]}


ok("nested.tar", NESTED.finish(index=nested))
ok("two_names.tar", Image(BASE).finish(index=lambda image, made: {**made, "manifests": [
    {**image.manifest, "annotations": {"org.opencontainers.image.ref.name": ref}} for ref in ("v1", "latest")]}))

# Layers over layers.
FILE = None
layered("one.tar", {"a": FILE}, [file("a")])
layered("file_over_folder.tar", {"a": FILE}, [folder("a"), file("a/b")], [file("a")])
layered("folder_over_file.tar", {"a": "/", "a/b": FILE}, [file("a")], [folder("a"), file("a/b")])
layered("folder_over_link.tar", {"b": "/", "a": "/", "a/c": FILE}, [folder("b"), symlink("a", "b")],
        [folder("a"), file("a/c")])
layered("link_over_folder.tar", {"a": "-> c", "c": "/", "c/d": FILE}, [folder("a"), file("a/b"), folder("c")],
        [symlink("a", "c"), file("a/d")])
layered("folder_again.tar", {"a": "/", "a/b": FILE, "a/c": FILE}, [folder("a"), file("a/b")],
        [folder("a"), folder("a"), file("a/c")])
layered("usrmerge.tar", {"usr": "/", "usr/lib": "/", "lib": "-> usr/lib", "usr/lib/x": FILE, "usr/lib/y": "/", "usr/lib/y/z": FILE},
        [folder("usr/lib"), symlink("lib", "usr/lib")], [file("lib/x"), file("lib/y/z")])
layered("absolute_link.tar", {"usr": "/", "usr/lib": "/", "lib": "-> /usr/lib", "usr/lib/x": FILE},
        [folder("usr/lib"), symlink("lib", "/usr/lib")], [file("lib/x")])
layered("link_to_outer.tar", {"a": "/", "a/way": "-> /", "b": FILE}, [symlink("a/way", "/"), file("a/way/b")])
layered("absolute_names.tar", {"a": "/", "a/b": FILE, "c": FILE}, [folder("/a"), file("/a/b"), hardlink("/c", "/a/b")])
layered("opaque.tar", {"a": "/", "a/new": FILE, "b": FILE}, [file("a/old"), file("a/c/d"), file("b")],
        [file("a/new"), file("a/.wh..wh..opq", b"")])
layered("opaque_root.tar", {"d": FILE}, [file("a"), folder("b"), file("b/c")], [file(".wh..wh..opq", b""), file("d")])
layered("opaque_missing.tar", {"a": FILE, "b": "/", "b/c": FILE}, [file("a")],
        [folder("b"), file("b/.wh..wh..opq", b""), file("b/c")])
layered("opaque_behind_link.tar", {"a": "/", "l": "-> a", "a/new": FILE}, [file("a/old"), symlink("l", "a")],
        [file("l/.wh..wh..opq", b""), file("l/new")])
layered("whiteout.tar", {"a": "/", "a/b": FILE}, [file("a/b"), file("a/c")], [file("a/.wh.c", b"")])
layered("whiteout_spares_its_layer.tar", {"a": "new"}, [file("a", b"old")], [file("a", b"new"), file(".wh.a", b"")])
layered("whiteout_of_link.tar", {"a": "/", "a/b": FILE}, [file("a/b"), symlink("l", "a")], [file(".wh.l", b"")])
layered("whiteout_missing.tar", {"a": FILE}, [file("a")], [file(".wh.b", b""), file("c/.wh.d", b"")])
layered("whiteout_folder.tar", {"e": FILE}, [folder("a"), file("a/b/c/d"), file("e")], [file(".wh.a", b"")])
layered("whiteout_below_file.tar", {"e": FILE}, [file("a"), file("e")], [file(".wh.a", b""), file("a/.wh.b", b"")])
layered("whiteout_of_dots.tar", {"a": FILE}, [file("..."), file(".hidden"), file("a")],
        [file(".wh....", b""), file(".wh..hidden", b"")])
layered("whiteout_and_back.tar", {"a": "/", "a/new": FILE}, [file("a/old")], [file(".wh.a", b"")], [file("a/new")])
layered("hardlink_to_lower.tar", {"a": FILE, "b": FILE}, [file("a")], [hardlink("b", "a")])
layered("hardlink_kept.tar", {"a": "new", "b": "old"}, [file("a", b"old"), hardlink("b", "a")], [file("a", b"new")])
layered("hardlink_behind_link.tar", {"d": "/", "d/a": FILE, "l": "-> d", "b": FILE},
        [file("d/a"), symlink("l", "d"), hardlink("b", "l/a")])
layered("setuid.tar", {"bin": "/", "bin/su": "#!su", "mail": "/"},
        [file("bin/su", b"#!su", 0o6755), folder("mail", 0o2775), folder("tmp", 0o1777)])
layered("devices.tar", {"a": FILE}, [folder("dev"), device("dev/null"), device("dev/pts/0"), file("a")])
layered("same_again.tar", {"a": FILE}, [file("a")], [file("a")])
layered("many_layers.tar", {f"f{i}": str(i) for i in range(128)}, *[[file(f"f{i}", b"%d" % i)] for i in range(128)])
layered("empty_layer.tar", {"a": FILE}, [file("a")], bytes(1024), bytes(10240))
layered("deep_removed.tar", {"e": FILE}, [file("d/" * 60 + "file"), file("e")], [file(".wh.d", b"")])
layered("capability.tar", {"ping": FILE}, [file("ping", pax={"SCHILY.xattr.security.capability": "\x01\0\0\x02"})])
CONCATENATED = Image([file("a", b"x" * 5000)], kind=GZIP)
CONCATENATED.packed = [gzip.compress(CONCATENATED.tars[0][:3000]) + gzip.compress(CONCATENATED.tars[0][3000:])]
ok("gzip_in_two.tar", CONCATENATED.finish())


# How it starts.
PASSWD = [file("etc/passwd", b"root:x:0:0::/:\napp:x:1001:1002::/:/bin/sh\nshort:x:7\n"),
          file("etc/group", b"root:x:0:\nstaff:x:50:\n")]


def starts(name, config, start, *entries):
    ok(f"start_{name}.tar", Image(BASE + list(entries), config=config).finish(), {**EMPTY, **start})


def starts_not(name, reason, config, *entries):
    refused(f"start_not_{name}.tar", reason, Image(BASE + list(entries), config=config).finish())


PROGRAM = {"entrypoint": ["/usr/bin/tool"], "program": "/usr/bin/tool"}
starts("nothing", {}, {})
starts("nulls", {"Entrypoint": None, "Cmd": None, "Env": None, "WorkingDir": "", "User": ""}, {})
starts("cmd", {"Cmd": ["/usr/bin/tool", "-v"]}, {**PROGRAM, "cmd": ["-v"]})
starts("default_path", {"Entrypoint": ["tool"]}, PROGRAM)
starts("link", {"Entrypoint": ["/run-me"]}, {"entrypoint": ["/run-me"], "program": "/usr/bin/tool"},
       symlink("run-me", "bin/tool"))
starts("relative", {"Entrypoint": ["./go"], "WorkingDir": "/app"},
       {"entrypoint": ["/app/go"], "program": "/app/go", "working_dir": "/app"}, file("app/go", b"#!", 0o755))
starts("user_name", {"User": "app"}, {"user": "1001:1002"}, *PASSWD)
starts("user_and_group", {"User": "app:staff"}, {"user": "1001:50"}, *PASSWD)
starts("user_number_of_name", {"User": "1001"}, {"user": "1001:1002"}, *PASSWD)
starts("user_number", {"User": "4242"}, {"user": "4242"})
starts("user_group_root", {"User": "4242:0"}, {"user": "4242"})
starts("user_root", {"User": "root"}, {}, *PASSWD)
starts("user_zero", {"User": "0:50"}, {})
starts("passwd_link", {"User": "app"}, {"user": "1001:1002"}, *PASSWD[1:], symlink("etc/passwd", "/lib/passwd"),
       file("lib/passwd", PASSWD[0][1]))
starts_not("missing", "no program nothing", {"Entrypoint": ["nothing"]})
starts_not("not_executable", "no program /etc/low", {"Entrypoint": ["/etc/low"]})
starts_not("folder", "no program /etc", {"Entrypoint": ["/etc"]})
starts_not("climbing", "climbs", {"Entrypoint": ["/usr/../usr/bin/tool"]})
starts_not("unnamed", "no name", {"Entrypoint": [""]})
starts_not("link_circle", "too many", {"Entrypoint": ["/a"]}, symlink("a", "b"), symlink("b", "a"))
starts_not("by_input", "entrypoint[0]", {"Entrypoint": ["/in/tool"]}, file("in/tool", b"#!", 0o755))
starts_not("by_input_link", "program", {"Entrypoint": ["/go"]}, symlink("go", "in/tool"), file("in/tool", b"#!", 0o755))
starts_not("by_tmp_path", "env.PATH", {"Entrypoint": ["tool"], "Env": ["PATH=/usr/bin:/tmp"]})
for label, value in (("relative", "usr/bin"), ("empty", ""), ("part", "/bin::/usr/bin"), ("dots", "/bin/../in"),
                     ("inputs", "/in"), ("slash", "/bin/")):
    starts_not(f"path_{label}", "env.PATH", {"Env": [f"PATH={value}"]})
for label, value in (("preload", "LD_PRELOAD=/in/x.so"), ("library", "LD_LIBRARY_PATH=/lib"),
                     ("tunables", "GLIBC_TUNABLES=x"), ("gconv", "GCONV_PATH=/in")):
    starts_not(f"env_{label}", "can never be set", {"Env": [value]})
starts_not("env_name", "image.env", {"Env": ["A B=c"]})
starts_not("env_no_value", "NAME=value", {"Env": ["A"]})
starts_not("env_twice", "twice", {"Env": ["A=b", "A=c"]})
starts_not("env_nul", "not strict JSON", {"Env": ["A=\0"]})
starts_not("env_many", "at most", {"Env": [f"A{i}=" for i in range(200)]})
starts_not("too_much", "bytes", {"Cmd": ["/usr/bin/tool", "x" * 70000]})
starts_not("words_type", "expected an array", {"Entrypoint": "tool"})
starts_not("word_type", "expected strings", {"Entrypoint": ["tool", 1]})
starts_not("user_unknown", "no such user", {"User": "nobody-here"}, *PASSWD)
starts_not("user_cut_line", "no such user", {"User": "short"}, *PASSWD)
starts_not("user_huge", "no such user", {"User": "99999999999"})
starts_not("user_negative", "no such user", {"User": "-1"})
starts_not("group_unknown", "no such group", {"User": "1000:wheel"}, *PASSWD)
starts_not("passwd_huge", "too large", {"User": "app"}, file("etc/passwd", b"x:" * (1 << 20)))
starts_not("working_dir_relative", "absolute", {"WorkingDir": "srv"})
starts_not("working_dir_climbs", "climbs", {"WorkingDir": "/../srv"})
starts_not("working_dir_file", "no folder", {"WorkingDir": "/etc/low"})
starts_not("working_dir_below_tmp", "working_dir", {"WorkingDir": "/tmp/x"})
starts("working_dir_tmp", {"WorkingDir": "/tmp"}, {"working_dir": "/tmp"})

# ---- lies about blobs ----

for label, which in (("config", 0), ("layer", 1), ("manifest", -1)):
    members = Image([file("a")]).finish()
    blob = [name for name in members if name.startswith("blobs/")][which]
    changed = bytes([members[blob][0] ^ 1]) + members[blob][1:]
    refused(f"digest_{label}.tar", "another digest", {**members, blob: changed})
    refused(f"size_{label}.tar", "size that its descriptor", {**members, blob: members[blob] + b" "})
    refused(f"missing_{label}.tar", "not in the archive", {name: data for name, data in members.items() if name != blob})


def of_layer(**more):
    return lambda made: {**made, "layers": [{**made["layers"][0], **more}]}


def of_config(**more):
    return lambda made: {**made, "config": {**made["config"], **more}}


def bad_manifest(name, reason, change):
    refused(f"manifest_{name}.tar", reason, Image([file("a")]).finish(manifest=change))


def bad_index(name, reason, change):
    refused(f"index_{name}.tar", reason, Image([file("a")]).finish(index=change))


def bad_config(name, reason, **change):
    refused(f"config_{name}.tar", reason, Image([file("a")], **change).finish())


bad_manifest("size_of_layer", "size that its descriptor", of_layer(size=5))
bad_manifest("size_negative", "size", of_layer(size=-1))
bad_manifest("size_text", "size", of_layer(size="5"))
bad_manifest("digest_of_layer", "not in the archive", of_layer(digest=sha256(b"x")))
bad_manifest("digest_sha512", "digest", of_layer(digest="sha512:" + "0" * 128))
bad_manifest("digest_path", "digest", of_layer(digest="sha256:../../../etc/passwd"))
bad_manifest("digest_upper", "digest", of_layer(digest=sha256(b"x").upper()))
bad_manifest("layer_gzip_named_plain", "tar+gzip", of_layer(mediaType=LAYER.replace("v1", "v2") + "+gzip"))
bad_manifest("layer_not_packed", "", of_layer(mediaType=GZIP))
bad_manifest("layer_not_packed_zstd", "", of_layer(mediaType=ZSTD))
bad_manifest("layer_foreign", "nondistributable", of_layer(mediaType=OCI + "layer.nondistributable.v1.tar"))
bad_manifest("layer_docker_foreign", "foreign", of_layer(mediaType=DOCKER + "image.rootfs.foreign.diff.tar.gzip"))
bad_manifest("layer_encrypted", "encrypted", of_layer(mediaType=GZIP + "+encrypted"))
bad_manifest("layer_urls", "urls", of_layer(urls=["https://example.com/layer"]))
bad_manifest("layer_type_missing", "mediaType", lambda made: {**made, "layers": [{"digest": made["layers"][0]["digest"],
                                                                              "size": made["layers"][0]["size"]}]})
bad_manifest("config_type", "media type", of_config(mediaType="application/vnd.example.config"))
bad_manifest("schema", "schemaVersion", lambda made: {**made, "schemaVersion": 1})
bad_manifest("no_schema", "schemaVersion", lambda made: {k: v for k, v in made.items() if k != "schemaVersion"})
bad_manifest("type", "mediaType", lambda made: {**made, "mediaType": IMAGE_INDEX})
bad_manifest("both", "at once", lambda made: {**made, "manifests": []})
bad_manifest("no_layers", "layers", lambda made: {**made, "layers": []})
bad_manifest("layer_more_than_diff_ids", "diff_ids", lambda made: {**made, "layers": made["layers"] * 2})
bad_manifest("twice", "duplicate", lambda made: b'{"schemaVersion":2,' + dump(made)[1:])
bad_manifest("deep", "nested deeper", lambda made: b'{"schemaVersion":2,"x":' + b"[" * 100 + b"]" * 100 + b"}")
bad_manifest("huge", "larger than", lambda made: dump({**made, "x": "y" * (1 << 20)}))
bad_manifest("not_json", "not strict JSON", lambda made: b"{" * 10)
bad_manifest("array", "expected a JSON object", lambda made: b"[]")
bad_manifest("empty", "nothing", lambda made: b"")
bad_manifest("too_many_layers", "layers", lambda made: {**made, "layers": made["layers"] * 129})

bad_index("two_images", "more than one image", lambda image, made: {**made, "manifests": made["manifests"] + [
    {**image.manifest, "digest": sha256(b"x")}]})
bad_index("none", "no image for", lambda image, made: {**made, "manifests": [
    {**image.manifest, "platform": {"os": "linux", "architecture": "s390x"}}]})
bad_index("windows", "no image for", lambda image, made: {**made, "manifests": [
    {**image.manifest, "platform": {"os": "windows", "architecture": MACHINE}}]})
bad_index("empty", "manifests", lambda image, made: {**made, "manifests": []})
bad_index("unknown_type", "unknown media type", lambda image, made: {**made, "manifests": [
    {**image.manifest, "mediaType": "application/vnd.example+json"}]})
bad_index("twice_nested", "index in an index", lambda image, made: {**made, "manifests": [image.blob(
    {**made, "manifests": [image.blob(made, IMAGE_INDEX)]}, IMAGE_INDEX)]})
bad_index("nested_lie", "another digest", lambda image, made: {**made, "manifests": [
    image.members.update({"blobs/sha256/" + "0" * 64: dump(made)}) or
    {"mediaType": IMAGE_INDEX, "digest": "sha256:" + "0" * 64, "size": len(dump(made))}]})
bad_index("both", "at once", lambda image, made: {**made, "layers": []})
bad_index("many", "manifests", lambda image, made: {**made, "manifests": made["manifests"] * 65})
bad_index("schema", "schemaVersion", lambda image, made: {**made, "schemaVersion": 3})
bad_index("no_object", "no object", lambda image, made: {**made, "manifests": ["x"]})

bad_config("machine", "not for linux", architecture="s390x")
bad_config("os", "not for linux", os="windows")
bad_config("no_machine", "architecture", architecture=None)
bad_config("diff_id", "diff_ids", rootfs={"type": "layers", "diff_ids": [sha256(b"x")]})
bad_config("diff_id_form", "no SHA-256", rootfs={"type": "layers", "diff_ids": ["x"]})
bad_config("no_diff_ids", "diff_ids", rootfs={"type": "layers", "diff_ids": []})
bad_config("rootfs_type", "rootfs.type", rootfs={"type": "other", "diff_ids": [sha256(b"x")]})
refused("config_config.tar", "expected an object", Image([file("a")], config=["x"]).finish())

refused("layout_none.tar", "no image", {"a": b"b"})
refused("layout_no_marker.tar", "oci-layout", {k: v for k, v in PLAIN.finish().items() if k != "oci-layout"})
refused("layout_no_index.tar", "index.json", {k: v for k, v in PLAIN.finish().items() if k != "index.json"})
refused("layout_version.tar", "imageLayoutVersion", {**PLAIN.finish(), "oci-layout": b'{"imageLayoutVersion":"2.0.0"}'})
refused("layout_climbs.tar", "climbs", {**PLAIN.finish(), "../escape": b"x"})
refused("layout_absolute.tar", "absolute", {**PLAIN.finish(), "/escape": b"x"})
refused("layout_device.tar", "device", {**PLAIN.finish(), "null": device("null")[0]})
refused("layout_hardlink.tar", "hard link", {**PLAIN.finish(), "x": hardlink("x", "index.json")[0]})
refused("layout_link_up.tar", "climbs", {**PLAIN.finish(), "x": symlink("x", "../../etc/passwd")[0]})
refused("layout_index_is_a_link_to_a_link.tar", "index.json", {
    **{k: v for k, v in PLAIN.finish().items() if k != "index.json"},
    "index.json": symlink("index.json", "b")[0], "b": symlink("b", "index.json")[0]})
save("layout_named_twice.tar", tar([file("index.json", b"{}"), file("./index.json", b"{}")]), "refused", "named twice")
refused("layout_many.tar", "more than 4096 files", {f"f{i}": b"" for i in range(5000)})
save("not_a_tar.tar", b"this is no archive\n" * 100, "refused", "not a readable tar")
save("nothing.tar", b"", "refused", "")
save("cut.tar.gz", gzip.compress(archive(PLAIN.finish()))[:-200], "refused", "not a readable tar")

DOCKER_ONE = Image([file("a")])
refused("docker_two.tar", "exactly one image", {**DOCKER_ONE.docker(), "manifest.json": dump(
    json.loads(DOCKER_ONE.docker()["manifest.json"]) * 2)})
refused("docker_no_layer.tar", "no nothing.tar", DOCKER_ONE.docker(["nothing.tar"]))
refused("docker_layer_climbs.tar", "climbs", DOCKER_ONE.docker(["../../etc/passwd"]))
refused("docker_config_lie.tar", "another digest", {**DOCKER_ONE.docker(Config="0" * 64 + ".json"),
                                                   "0" * 64 + ".json": dump(DOCKER_ONE.config)})
refused("docker_config_name.tar", "name by digest", {**DOCKER_ONE.docker(Config="config.json"),
                                                    "config.json": dump(DOCKER_ONE.config)})
refused("docker_layer_lie.tar", "diff_ids", {**DOCKER_ONE.docker(), "0/layer.tar": tar([file("a", b"other")])})
refused("docker_object.tar", "JSON array", {**DOCKER_ONE.docker(), "manifest.json": b"{}"})
refused("docker_layer_type.tar", "Layers", DOCKER_ONE.docker([1]))
refused("docker_zstd.tar", "not a readable tar", {**DOCKER_ONE.docker(), "0/layer.tar": zstd(DOCKER_ONE.tars[0])})


# ---- hostile layers ----

def bad_packed(name, reason, packed, kind=GZIP):
    image = Image([file("a")], kind=kind)
    image.packed = [packed(image.tars[0])]
    refused(name, reason, image.finish())


bad_packed("gzip_garbage.tar", "behind what is packed", lambda data: gzip.compress(data) + b"garbage")
bad_packed("gzip_cut.tar", "", lambda data: gzip.compress(data)[:-10])
bad_packed("gzip_twice.tar", "", lambda data: gzip.compress(gzip.compress(data)))
bad_packed("gzip_in_zstd.tar", "", lambda data: zstd(gzip.compress(data)), ZSTD)
bad_packed("zstd_garbage.tar", "", lambda data: zstd(data) + b"garbage", ZSTD)
bad_packed("zstd_cut.tar", "", lambda data: zstd(data)[:-5], ZSTD)
bad_packed("gzip_bomb.tar", "unpack to more", lambda data: gzip.compress(bytes(80 << 20)))
bad_packed("gzip_tail_bomb.tar", "unpack to more", lambda data: gzip.compress(data + bytes(80 << 20)))

bad_layers("up.tar", "climbs", [file("../escape")])
bad_layers("up_inside.tar", "climbs", [folder("a"), file("a/../../escape")])
bad_layers("up_whiteout.tar", "climbs", [file("../.wh.canary", b"")])
bad_layers("link_up.tar", "leaves the root", [symlink("a", "../../etc")])
bad_layers("link_circle.tar", "too many", [symlink("a", "b"), symlink("b", "a"), file("a/x")])
bad_layers("link_to_itself.tar", "too many", [symlink("a", "a"), file("a/x")])
bad_layers("through_file.tar", "not a folder", [file("a"), file("a/b")])
bad_layers("through_lower_file.tar", "not a folder", [file("a")], [file("a/b")])
bad_layers("hardlink_up.tar", "climbs", [hardlink("a", "../../etc/shadow")])
bad_layers("hardlink_missing.tar", "not in the archive", [hardlink("a", "etc/shadow")])
bad_layers("hardlink_whited_out.tar", "not in the archive", [file("a")], [file(".wh.a", b""), hardlink("b", "a")])
bad_layers("hardlink_through_link.tar", "not in the archive", [symlink("way", "/etc"), hardlink("a", "way/shadow")])
bad_layers("hardlink_to_link.tar", "not a file", [symlink("way", "/etc/shadow"), hardlink("a", "way")])
bad_layers("whiteout_nothing.tar", "not a name", [file(".wh.", b"")])
bad_layers("whiteout_dot.tar", "not a name", [file(".wh..", b"")])
bad_layers("whiteout_dots.tar", "not a name", [folder("a"), file("a/.wh...", b"")])
bad_layers("whiteout_reserved.tar", "not a name", [file(".wh..wh.aufs", b"")])
bad_layers("whiteout_slash.tar", "not a name", [file(".wh./a", b"")])
bad_layers("whiteout_in_folder.tar", "not a name", [file(".wh.a/b", b"")])
bad_layers("whiteout_is_folder.tar", "empty file", [folder(".wh.a")])
bad_layers("whiteout_is_link.tar", "empty file", [symlink(".wh.a", "b")])
bad_layers("whiteout_has_content.tar", "empty file", [file(".wh.a", b"x")])
bad_layers("opaque_is_folder.tar", "empty file", [folder(".wh..wh..opq")])
bad_layers("root_is_a_file.tar", "root", [file(".")])
bad_layers("twice.tar", "named twice", [file("a"), file("a", b"other")])
bad_layers("file_then_folder.tar", "named twice", [file("a"), folder("a")])
bad_layers("link_then_file.tar", "named twice", [symlink("a", "/etc/passwd"), file("a")])
bad_layers("device_elsewhere.tar", "device", [device("etc/null")])
bad_layers("device_name_like_dev.tar", "device", [device("devices/null")])
bad_layers("block.tar", "device", [device("dev/sda", tarfile.BLKTYPE)])
bad_layers("fifo.tar", "device", [device("dev/pipe", tarfile.FIFOTYPE)])
bad_layers("control.tar", "control characters", [file("a\x1b[31m")])
bad_layers("proc_is_a_file.tar", "/proc is not a folder", [file("proc")])
bad_layers("in_is_a_link.tar", "/in is not a folder", [symlink("in", "etc"), folder("etc")])
bad_layers("deep_behind_link.tar", "behind links", [folder("d/" * 40), symlink("l", "d/" * 40)],
           [file("l/" + "d/" * 40 + "x")])
bad_layers("many_whiteouts.tar", "entries", [file("a")], [file(f".wh.{i}", b"") for i in range(2500)])
bad_layers("many_entries.tar", "entries", [file(f"{i}", b"") for i in range(1500)], [file(f"x{i}", b"") for i in range(600)])
bad_layers("rewritten_bomb.tar", "unpack to more", *[[file("a", bytes(9 << 20))] for _ in range(8)], kind=GZIP)
bad_layers("entries_by_rewriting.tar", "entries", *[[file(f"{i}", b"") for i in range(300)] for _ in range(8)])
bad_layers("nothing_at_all.tar", "nothing in it", bytes(1024))
bad_layers("not_tar.tar", "not a readable tar", b"no archive" * 100)

with open(os.path.join(FOLDER, "index"), "w", encoding="utf-8") as index:
    index.write("\n".join(INDEX) + "\n")
