#!/usr/bin/env bash
# A coordinator and three parties as processes of their own on this machine, and one question over all of them.
#
#   examples/network/run.sh [FOLDER]      FOLDER keeps the files (default: a temporary one, removed at the end)
#
# Needs `fedsql` on the PATH (in a checkout: make demo once, then PATH=.venv/bin:$PATH).
set -euo pipefail

folder=${1:-$(mktemp -d)/federation}
processes=()
end() {
    for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    if (($# == 0)); then rm -rf "$(dirname "$folder")"; fi
}
if (($#)); then trap 'end keep' EXIT; else trap end EXIT; fi

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
fedsql init "$folder" --parties north,south,west --port "$port" --example >/dev/null 2>&1
cd "$folder"
fedsql coordinator federation.toml 2>coordinator.log &
processes+=($!)
for party in north south west; do
    fedsql party "$party/$party.toml" 2>"$party.log" &
    processes+=($!)
done
until grep -q 'party north' coordinator.log && grep -q 'party south' coordinator.log && grep -q 'party west' coordinator.log; do
    for process in "${processes[@]}"; do
        kill -0 "$process" 2>/dev/null || { cat ./*.log >&2; exit 1; }
    done
    sleep 0.2
done
fedsql shell federation.toml \
    -c 'SHOW PARTIES' \
    -c 'SELECT health, COUNT(DISTINCT person) AS persons, AVG(visits) AS visits FROM patients GROUP BY health ORDER BY 2 DESC' \
    -c 'SHOW BUDGET'
fedsql audit verify north/north.toml
