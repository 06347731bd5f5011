# For `run` and the `install` of a client: the commands that they drive.

# Each argument is a command and the Debian package that has it, with a colon between them.
need() {
    local missing=() entry
    for entry; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        printf 'tests/live: missing, and only root can install it: %s\n' "${missing[*]}" >&2
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}
