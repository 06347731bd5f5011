"""Checks that every package of the lock file that users build accepts the stated rust-version."""
import json
import subprocess
import sys

metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
)


def version(text):
    return tuple(int(part) for part in (text.split(".") + ["0"])[:3])


root = next(p for p in metadata["packages"] if p["id"] == metadata["resolve"]["root"])
stated = root["rust_version"]
newer = [
    f"{package['name']} {package['version']} needs {package['rust_version']}"
    for package in metadata["packages"]
    if package["rust_version"] and version(package["rust_version"]) > version(stated)
]
print(f"rust-version {stated}: {len(metadata['packages'])} packages, {len(newer)} too new")
if newer:
    sys.exit("\n".join(newer))
