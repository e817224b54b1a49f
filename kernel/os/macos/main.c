// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - start and stop of the kext, and the table of its publishers.
 *
 * macOS 11 and later may start a kext again on an image that has run before,
 * with its old data. So start sets every variable itself, and relies only on
 * initialisers of constants.
 */
#include <libkern/libkern.h>
#include <mach/mach_types.h>

#include "osq_macos.h"

/* What the kext was built for, readable without loading it; as in libosq. */
#define TEXT(word) #word
#define TEXT_OF(name) TEXT(name)
__attribute__((used)) static const char abi_stamp[] =
	"osq_abi=" TEXT_OF(OSQ_ABI_VERSION);

const struct osq_publisher osq_publishers[] = {
	{
		.name = "exec",
		.type = OSQ_TYPE_EXEC,
		.start = osq_publish_exec_start,
		.stop = osq_publish_exec_stop,
	},
	{
		.name = "socket",
		.type = OSQ_TYPE_SOCKET,
		.options = OSQ_SOCKET_OPTS,
		.start = osq_publish_socket_start,
		.configure = osq_publish_socket_configure,
		.stop = osq_publish_socket_stop,
	},
	{
		.name = "file",
		.type = OSQ_TYPE_FILE,
		.options = OSQ_FILE_OPT_ALL,
		.start = osq_publish_file_start,
		.configure = osq_publish_file_configure,
		.stop = osq_publish_file_stop,
	},
	{}
};

static void publishers_init(void)
{
	osq_publish_exec_init();
	osq_publish_socket_init();
	osq_publish_file_init();
}

static bool publishers_may_unload(void)
{
	return osq_publish_exec_may_unload() &&
	       osq_publish_socket_may_unload() && osq_publish_file_may_unload();
}

/* Context: the loader's thread, may sleep. */
static kern_return_t osq_init(struct kmod_info *info, void *data)
{
	int err;

	(void)info;
	(void)data;
	osq_gate_init();
	osq_readers_init();
	osq_scratch_init();
	publishers_init();
	err = osq_locks_init();
	if (err)
		return KERN_FAILURE;
	err = osq_device_register();
	if (err) {
		osq_locks_deinit();
		return KERN_FAILURE;
	}
	printf(OSQ_NAME ": loaded, ABI 0x%x, schema %d\n", OSQ_ABI_VERSION,
	       OSQ_SCHEMA_VERSION);
	return KERN_SUCCESS;
}

/*
 * Refused while the device is open, while a callback runs, and for a time
 * after the last hook was removed (gate.c); the caller must try again.
 *
 * Context: the loader's thread, may sleep.
 */
static kern_return_t osq_exit(struct kmod_info *info, void *data)
{
	(void)info;
	(void)data;
	if (!publishers_may_unload() || osq_device_unregister()) {
		printf(OSQ_NAME ": busy, not unloaded\n");
		return KERN_FAILURE;
	}
	osq_locks_deinit();
	printf(OSQ_NAME ": unloaded\n");
	return KERN_SUCCESS;
}

/*
 * The loader finds it by this name, and fills in the image's address. It is
 * the only symbol that is not hidden.
 */
extern kmod_info_t kmod_info;
__attribute__((visibility("default"))) kmod_info_t kmod_info = {
	.info_version = KMOD_INFO_VERSION,
	.id = UINT32_MAX,
	.name = KEXT_BUNDLE_ID,
	.version = KEXT_BUNDLE_VERSION,
	.reference_count = -1,
	.start = osq_init,
	.stop = osq_exit,
};
