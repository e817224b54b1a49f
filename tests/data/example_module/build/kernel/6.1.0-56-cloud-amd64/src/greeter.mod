/work/main/tests/data/example_module/build/kernel/6.1.0-56-cloud-amd64/src/greeter.o
