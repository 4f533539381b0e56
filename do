#!/bin/sh
# The commands of the project: `./do` lists those that everyone uses, `./do dev` the others.
set -eu
cd "$(dirname "$0")"

# With WHEELS, a folder, its wheels are what is run and tested, not the plugins of the working tree.
wheels=${WHEELS:-}
venv=.venv${wheels:+-wheels}

# One virtual environment with everything, made again when a project file changes.
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

# Dagster, in an environment of its own (orchestrate/pyproject.toml says why); what it keeps is in DAGSTER_HOME.
install_orchestrate() {
    stamp=.venv/orchestrate/.installed
    if [ ! -f "$stamp" ] || [ -n "$(find orchestrate/pyproject.toml orchestrate/constraints.txt -newer "$stamp")" ]; then
        [ -x .venv/orchestrate/bin/python ] || python -m venv --without-pip .venv/orchestrate
        uv pip install -q --python .venv/orchestrate/bin/python --compile-bytecode \
            -c orchestrate/constraints.txt -r orchestrate/pyproject.toml --group orchestrate/pyproject.toml:dev
        touch "$stamp"
    fi
}

# What makes the site of the documents, in an environment of its own, with the script that draws its
# pictures: readers' browsers need not fetch it elsewhere.
install_docs() {
    [ -x .venv/docs/bin/python ] || python -m venv --without-pip .venv/docs
    uv pip install -q --python .venv/docs/bin/python -c constraints.txt --group docs
    if [ ! -f .venv/docs/mermaid.min.js ]; then
        command -v npm >/dev/null || { echo "./do dev docs needs npm, for mermaid" >&2; exit 1; }
        (
            cd .venv/docs
            npm pack --silent mermaid@11.17.2 >/dev/null
            tar -xzf mermaid-11.17.2.tgz package/dist/mermaid.min.js
            mv package/dist/mermaid.min.js .
            rm -r package mermaid-11.17.2.tgz
        )
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
./do setup          the environment, with both plugins and the demo
./do demo           Pendo (emulated) into PostgreSQL (embedded), end to end
./do demo planhat   Pendo into Planhat (both emulated), likewise
./do test [ARGS]    the tests of both plugins, and of the way through Meltano (ARGS go to pytest)
./do test-all       all tests, with the whole of their long matrices
./do check          lint, types, import layers, generated files
./do fix            format, fix what can be fixed, and write the generated files again
./do dev            lists what is needed less often
TXT
}

usage_of_dev() {
    cat <<'TXT'
./do dev run COMMAND      any command in the environment
./do dev bench [ARGS]     measure against peers (./do dev bench --help)
./do dev scale [ARGS]     calculate what a number of events and tenants takes (./do dev scale --help)
./do dev orchestrate COMMAND  any command in Dagster's environment, such as dagster dev -m orchestrate.definitions
./do dev scale-out        a year of three apps through Dagster, its workers killed (./do dev scale-out --help)
./do dev coverage [ARGS]  ./do test, and the share of each plugin's lines that it runs
./do dev docs             the documents as a site, with search, into site/
./do dev test-sqlalchemy  the tests of target-planhat, with the newest SQLAlchemy that it takes
./do dev loaders [NAME…]  the default streams through real loaders, each in an environment of its own
./do dev installs         all ways to install both plugins, with each Python that is here
./do dev release          build the wheels and source archives of both plugins into dist/, and check them
./do dev pins             resolve both constraints.txt again
TXT
}

command=${1:-help}
[ $# -eq 0 ] || shift
if [ "$command" = dev ]; then
    command="dev ${1:-help}"
    [ $# -eq 0 ] || shift
fi
case "$command" in
    demo | test | test-all | check | fix | "dev run" | "dev bench" | "dev scale" | "dev orchestrate" | \
        "dev scale-out" | "dev coverage" | "dev docs" | "dev loaders" | "dev test-sqlalchemy" | "dev installs" | \
        "dev release" | "dev pins") install ;;
    setup) install; exit ;;
    dev*) usage_of_dev; [ "$command" = "dev help" ]; exit ;;
    *) usage; [ "$command" = help ]; exit ;;
esac
PATH="$PWD/$venv/bin:$PATH"
export PATH UV_COMPILE_BYTECODE=1
# container images set it; then each start of a plugin would compile it again
unset PYTHONDONTWRITEBYTECODE

case "$command" in
    demo)
        case "${1:-postgres}" in
            postgres) set -- tap-pendo target-postgres ;;
            planhat) set -- tap-pendo-for-planhat target-planhat ;;
            *) echo "./do demo $1: must be ./do demo, or ./do demo planhat" >&2; exit 2 ;;
        esac
        exec with-demo meltano --environment=demo run "$@"
        ;;
    # side by side, a file to a process; in the order of their names, as files of few tests are often
    # the long ones
    test) exec python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$@" ;;
    # the ledger with the SQLAlchemy that a plain install gets, and Meltano does not take
    "dev test-sqlalchemy")
        [ -x "$venv/sqlalchemy/bin/python" ] || python -m venv --without-pip "$venv/sqlalchemy"
        grep -v '^sqlalchemy==' constraints.txt > "$venv/sqlalchemy/constraints.txt"
        uv pip install -q --python "$venv/sqlalchemy/bin/python" --compile-bytecode \
            -c "$venv/sqlalchemy/constraints.txt" "sqlalchemy>=2.1,<2.2" \
            -e ./tap-pendo -e ./target-planhat -e ./demo --group dev
        exec "$venv/sqlalchemy/bin/python" -m pytest -n 3 --dist loadfile tests/planhat "$@"
        ;;
    test-all)
        # pipx, as one of the ways to install
        install_release_tools
        install_orchestrate
        python -m tests.loaders --install jsonl MeltanoLabs duckdb
        exec python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --all tests orchestrate/tests "$@"
        ;;
    check)
        ruff check
        ruff format --check
        mypy
        install_orchestrate
        mypy --python-executable .venv/orchestrate/bin/python -p orchestrate
        lint-imports --no-cache
        python -m tools.docs.generate --check
        ;;
    fix)
        ruff check --fix
        ruff format
        exec python -m tools.docs.generate
        ;;
    "dev bench") exec python -m benchmarks "$@" ;;
    "dev scale") exec python -m benchmarks.scale "$@" ;;
    "dev orchestrate")
        install_orchestrate
        DAGSTER_HOME=${DAGSTER_HOME:-$PWD/.meltano/dagster}
        export DAGSTER_HOME
        mkdir -p "$DAGSTER_HOME"
        [ -f "$DAGSTER_HOME/dagster.yaml" ] || cp orchestrate/dagster.yaml "$DAGSTER_HOME"
        PATH="$PWD/.venv/orchestrate/bin:$PATH"
        exec "$@"
        ;;
    "dev scale-out")
        install_orchestrate
        exec with-demo --data .meltano/scale-out -- .venv/orchestrate/bin/python -m orchestrate.trial "$@"
        ;;
    "dev coverage")
        failed=0
        python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report= "$@" || failed=$?
        for plugin in tap_pendo target_planhat; do
            echo "$plugin: $(coverage report --include="*/$plugin/*" --format=total) % of the lines"
        done
        exit "$failed"
        ;;
    "dev docs")
        install_docs
        # it advertises its authors' next program
        export NO_MKDOCS_2_WARNING=1
        exec .venv/docs/bin/mkdocs build --strict "$@"
        ;;
    "dev loaders") exec python -m tests.loaders "$@" ;;
    "dev installs")
        install_release_tools
        exec python -m tests.installs
        ;;
    "dev release")
        install_release_tools
        rm -rf dist
        for member in tap-pendo target-planhat; do
            uv build -q --build-constraints constraints.txt --out-dir dist "$member"
        done
        twine check --strict dist/*
        check-wheel-contents dist/*.whl
        ;;
    "dev pins")
        uv pip compile -q --universal --python-version 3.10 --no-annotate --no-header --upgrade \
            tap-pendo/pyproject.toml target-planhat/pyproject.toml demo/pyproject.toml \
            --group dev --group meltano --group docs --group release -o constraints.txt
        uv pip compile -q --universal --python-version 3.10 --no-annotate --no-header --upgrade \
            orchestrate/pyproject.toml --group orchestrate/pyproject.toml:dev -o orchestrate/constraints.txt
        ;;
    "dev run") exec "$@" ;;
esac
