#!/usr/bin/env bash
# numba 0.68.1 (llvmlite 0.50.0): the cache exchanges functions.  Two closures of one factory, each called by a cached function, are kept by different
# processes; a process that loads both callers gets 20 from the second, where it had answered 50 alone.  No warning.
# One would expect a cache not to change answers (numba keeps closures apart by what they close over).  But compiled code names a function by a number
# that counts compilations in its process, so that both closures are "member v2"; a caller keeps a weak copy of what it calls, and the loader takes
# the first copy of a name for all callers.  Functions that are inlined are not affected.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
cd "$folder" && export NUMBA_CACHE_DIR="$folder/cache"
cat > family.py <<'PY'
import numba


def factory(k):
    @numba.njit(cache=True)
    def member(x):  # k x for x < 1000; long enough not to be inlined
        for n in range(40):
            if x > 1000 + n:
                x = x / (n + 1)
                for m in range(n):
                    if x < m:
                        x = x + m * x
                    elif x > 2000 + m:
                        x = x - n / x
                    if x > 1e6 + m * n:
                        x = x - m / x if x > 1e7 else x + n / (x - m)
        return k * x

    return member


two, five = factory(2.0), factory(5.0)


@numba.njit(cache=True)
def sum_of_two(x):
    return two(x) + two(x + 1.0) + two(x + 2.0) + two(x + 3.0)


@numba.njit(cache=True)
def sum_of_five(x):
    return five(x) + five(x + 1.0) + five(x + 2.0) + five(x + 3.0)
PY
ask() { venv/bin/python -c "import family; print(*(getattr(family, name)(1.0) for name in '$1'.split()))"; }
venv/bin/python -c "import numba, llvmlite; print('numba', numba.__version__, 'llvmlite', llvmlite.__version__)"
first=$(ask sum_of_two) second=$(ask sum_of_five) both=$(ask "sum_of_two sum_of_five")
echo "a process that asks for 2 (1 + 2 + 3 + 4): $first"
echo "a process that asks for 5 (1 + 2 + 3 + 4): $second"
echo "a process that asks for both:              $both"
[ "$first | $second | $both" = "20.0 | 50.0 | 20.0 20.0" ] || { echo "the behaviour has changed"; exit 1; }
echo "as stated: the second function answers with the first one's code"
