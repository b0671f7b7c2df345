# Convscope. What people use:
#   make          installs what is missing, builds build/convscope and build/onnx-backend
#   make run      builds, then opens the app on the built-in models and pictures in the browser
#   make test     installs what tests need and runs them all
#   make models   trains the built-in models again
#   make bench    measures speed against other programs, which it installs into build-bench (about 20 minutes)
# and for work on it: asan, tsan, campaign, mnist, peers, fmt, lint, clean. Everything else is Meson and Ninja underneath.

BUILD := build
MESON_FLAGS :=

.PHONY: all deps test-deps run test asan tsan campaign peers fmt lint clean models mnist bench

all: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(if $(findstring s,$(firstword -$(MAKEFLAGS))),--quiet)

# flock: two makes started at once must not configure or install over each other.
deps:
	@mkdir -p $(BUILD) && flock $(BUILD)/.lock sh tools/install.sh build

$(BUILD)/build.ninja: | deps
	@flock $(BUILD)/.lock sh -c '[ -f $@ ] || meson setup $(BUILD) $(MESON_FLAGS) >$(BUILD)/setup.log 2>&1 || { cat $(BUILD)/setup.log >&2; exit 1; }'

test-deps: deps
	@flock $(BUILD)/.lock sh tools/install.sh test
	@flock $(BUILD)/.lock sh -c '[ ! -f $(BUILD)/build.ninja ] || { [ -e $(BUILD)/convscope_mpi.so ] && [ -e $(BUILD)/tests/test_base ]; } || \
	  meson setup --reconfigure $(BUILD) >$(BUILD)/setup.log 2>&1 || { cat $(BUILD)/setup.log >&2; exit 1; }'

run: all
	@$(BUILD)/convscope open

test: test-deps all
	@sh tools/test.sh $(BUILD)

asan: test-deps
	@[ -f build-asan/build.ninja ] || CC=clang meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C build-asan && meson test -C build-asan --suite unit --print-errorlogs

tsan: test-deps
	@[ -f build-tsan/build.ninja ] || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false
	@ninja -C build-tsan && meson test -C build-tsan --suite unit --print-errorlogs

# Files that the real libraries write (PyTorch, Keras, TensorFlow; results in docs/exporters.csv), then every allocation of every fuzz seed
# failing in turn, then hostile files: a new random sequence of inputs for every reader, FUZZ_SECONDS for all together; finds go to build-fuzz/finds, the
# counts to build-fuzz/slots.csv, and with `tools/fuzz.sh ledger` to docs/campaign.csv.
FUZZ_SECONDS ?= 600
campaign: test-deps all
	@python3 tests/peers/exporters.py $(BUILD)/convscope build-peers
	@sh tools/fuzz.sh allocations
	@sh tools/fuzz.sh $(FUZZ_SECONDS)

# The real TensorBoard reads what a run writes, and we what TensorBoard's and PyTorch's writers write; installs them into build-peers.
peers: all
	@python3 tests/peers/tensorboard.py $(BUILD)/convscope build-peers
	@python3 tests/peers/visdom_client.py $(BUILD)/convscope build-peers

fmt:
	@clang-format -i $$(git ls-files '*.c' '*.h')

lint: test-deps
	@python3 tools/check_layers.py && python3 tools/check_text.py && python3 tools/check_tree.py && python3 tools/check_format.py

# Trains the built-in models again from their recipes (fixed seeds; about a quarter of an hour on two cores). MNIST is the folder
# with the four idx files.
MNIST ?= ../shared/data/mnist
models: all
	@for name in digits things shortcut; do \
	  data=; [ $$name != digits ] || data="--data mnist:$(MNIST)"; \
	  $(BUILD)/convscope train models/$$name.net $$data -o $(BUILD)/models/$$name && \
	  cp $(BUILD)/models/$$name/model.onnx models/$$name.onnx || exit 1; \
	done

# The README's training on all of MNIST (minutes): at least 99 % of the test pictures right.
mnist: all
	@python3 tests/peers/mnist.py $(BUILD)/convscope $(BUILD) $(MNIST)

# Against PyTorch, ONNX Runtime, Keras and others, at pinned versions in build-bench; writes bench/results.csv and bench/results.md.
# ONLY='pattern' measures the rows that match and merges them in.
bench: all
	@ninja -C $(BUILD) bench/bench_ours bench/bench_kernels
	@python3 bench/run.py --build $(BUILD) $(if $(ONLY),--only '$(ONLY)')

clean:
	rm -rf build build-bench build-asan build-tsan build-fuzz build-fuzz-fast
