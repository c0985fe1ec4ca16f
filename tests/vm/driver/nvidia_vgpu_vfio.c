// SPDX-License-Identifier: GPL-2.0
/* The second module of NVIDIA's vGPU host driver, which is there and does nothing here: what it would offer, nvidia.c does. */
#include <linux/module.h>

static int __init vgpu_vfio_init(void)
{
	return 0;
}

static void __exit vgpu_vfio_exit(void)
{
}

module_init(vgpu_vfio_init);
module_exit(vgpu_vfio_exit);
MODULE_SOFTDEP("pre: nvidia");
MODULE_DESCRIPTION("Stand-in for a module of NVIDIA's vGPU driver, for tests under QEMU");
MODULE_LICENSE("GPL");
