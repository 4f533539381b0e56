#!/bin/sh
# The few commands that everyone uses; `./do` alone lists them.
set -eu
cd "$(dirname "$0")"

# With WHEELS, a folder, its wheels are what is run and tested, not the plugins of the working tree.
wheels=${WHEELS:-}
venv=.venv${wheels:+-wheels}

# One virtual environment with everything, made anew when a project file changes.
install() {
    stamp=$venv/.installed
    if [ -f "$stamp" ] && [ -z "$(find pyproject.toml */pyproject.toml constraints.txt ${wheels:+"$wheels"} -newer "$stamp")" ]; then
        return
    fi
    echo "Installing into $venv, which takes about a minute the first time" >&2
    [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt uv
    if [ -n "$wheels" ]; then
        set -- "$wheels"/*.whl
    else
        set -- -e ./tap-pendo -e ./target-planhat
    fi
    # bytecode once here saves seconds at each start of Meltano
    "$venv/bin/uv" pip install -q --python "$venv/bin/python" --compile-bytecode -c constraints.txt \
        "$@" -e ./demo --group dev --group meltano
    touch "$stamp"
}

# What draws the picture, in an environment of its own (pyproject.toml says why).
install_bench() {
    [ -x .venv/bench/bin/python ] || .venv/bin/python -m venv --without-pip .venv/bench
    .venv/bin/uv pip install -q --python .venv/bench/bin/python -c constraints.txt --group bench
}

# Dagster, in an environment of its own (pyproject.toml says why); what it keeps is in DAGSTER_HOME.
install_orchestrate() {
    stamp=.venv/orchestrate/.installed
    if [ ! -f "$stamp" ] || [ -n "$(find pyproject.toml orchestrate/constraints.txt -newer "$stamp")" ]; then
        [ -x .venv/orchestrate/bin/python ] || python -m venv --without-pip .venv/orchestrate
        uv pip install -q --python .venv/orchestrate/bin/python --compile-bytecode \
            -c orchestrate/constraints.txt --group orchestrate
        touch "$stamp"
    fi
}

# What only a release needs, in an environment of its own.
install_release_tools() {
    [ -x "$venv/release/bin/python" ] || python -m venv --without-pip "$venv/release"
    uv pip install -q --python "$venv/release/bin/python" -c constraints.txt --group release
    PATH="$PATH:$PWD/$venv/release/bin"
}

usage() {
    cat <<'TXT'
./do demo           Pendo (emulated) into PostgreSQL (embedded), end to end
./do demo-planhat   Pendo into Planhat (both emulated), likewise
./do test [ARGS]    the tests (ARGS go to pytest)
./do test-all       the tests with the whole of their long matrices
./do check          lint, types, import floors, generated files
./do format         format, and fix what can be fixed
./do generate       write the generated tables and the golden catalogue anew
./do bench [ARGS]   measure against peers (./do bench --help)
./do scale [ARGS]   reckon what so many events and tenants take (./do scale --help)
./do orchestrate COMMAND  any command in Dagster's environment, such as dagster dev -m orchestrate.definitions
./do scale-out      a year of three apps through Dagster, its workers killed (./do scale-out --help)
./do installs       all ways to install both plugins, with each Python that is here
./do release        build the wheels and source archives of both plugins into dist/, and check them
./do pins           resolve both constraints.txt anew
./do run COMMAND    any command in the environment
TXT
}

command=${1:-help}
[ $# -eq 0 ] || shift
case "$command" in
    demo | demo-planhat | test | test-all | check | format | generate | bench | scale | orchestrate | scale-out | \
        installs | release | pins | run) install ;;
    install) install; exit ;;
    *) usage; [ "$command" = help ]; exit ;;
esac
PATH="$PWD/$venv/bin:$PATH"
export PATH UV_COMPILE_BYTECODE=1

case "$command" in
    demo) exec with-demo meltano --environment=demo run tap-pendo target-postgres ;;
    demo-planhat) exec with-demo meltano --environment=demo run tap-pendo-for-planhat target-planhat ;;
    # side by side, a file to a process: most of the time goes into waiting; in the order of their
    # names, as files of few tests are often the long ones
    test)
        install_orchestrate
        exec python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$@"
        ;;
    test-all)
        # pipx, as one of the ways to install
        install_release_tools
        install_orchestrate
        exec python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --all "$@"
        ;;
    check)
        ruff check
        ruff format --check
        mypy
        install_orchestrate
        mypy --python-executable .venv/orchestrate/bin/python -p orchestrate
        lint-imports --no-cache
        python docs/generate.py --check
        ;;
    format) ruff check --fix; ruff format ;;
    generate) exec python docs/generate.py ;;
    bench)
        case " $*" in *" --json"*) install_bench ;; esac
        exec python -m benchmarks "$@"
        ;;
    scale) exec python -m benchmarks.scale "$@" ;;
    orchestrate)
        install_orchestrate
        DAGSTER_HOME=${DAGSTER_HOME:-$PWD/.meltano/dagster}
        export DAGSTER_HOME
        mkdir -p "$DAGSTER_HOME"
        [ -f "$DAGSTER_HOME/dagster.yaml" ] || cp orchestrate/dagster.yaml "$DAGSTER_HOME"
        PATH="$PWD/.venv/orchestrate/bin:$PATH"
        exec "$@"
        ;;
    scale-out)
        install_orchestrate
        exec with-demo --data .meltano/scale-out -- .venv/orchestrate/bin/python -m orchestrate.trial "$@"
        ;;
    installs)
        install_release_tools
        exec python -m tests.installs
        ;;
    release)
        install_release_tools
        rm -rf dist
        for member in tap-pendo target-planhat; do
            uv build -q --build-constraints constraints.txt --out-dir dist "$member"
        done
        twine check --strict dist/*
        check-wheel-contents dist/*.whl
        ;;
    pins)
        uv pip compile -q --universal --python-version 3.10 --no-annotate --no-header --upgrade \
            tap-pendo/pyproject.toml target-planhat/pyproject.toml demo/pyproject.toml \
            --group dev --group meltano --group bench --group release -o constraints.txt
        uv pip compile -q --universal --python-version 3.10 --no-annotate --no-header --upgrade \
            --group orchestrate -o orchestrate/constraints.txt
        ;;
    run) exec "$@" ;;
esac
