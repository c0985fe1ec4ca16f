// SPDX-License-Identifier: GPL-2.0
/*
 * A stand-in for NVIDIA's vGPU driver on a real kernel under QEMU: a PCI driver called "nvidia" that
 *  - shows a function with SR-IOV (given to it by driver_override) as an A10: 10de:2236, class 0302,
 *  - makes VFs through sriov_numvfs, with what the PCI core brings for that,
 *  - offers the types of four A10 profiles on each VF, one instance a VF.
 * All that happens in sysfs is the kernel's own doing; the mediated devices do nothing.
 */
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#define BOARD_VENDOR 0x10de
#define BOARD_DEVICE 0x2236
#define BOARD_CLASS 0x030200

static const struct profile {
	const char *id, *name;
	unsigned int framebuffer, instances;
} profiles[] = {
	{ "588", "NVIDIA A10-1B", 1024, 16 },
	{ "589", "NVIDIA A10-2B", 2048, 12 },
	{ "592", "NVIDIA A10-4Q", 4096, 6 },
	{ "595", "NVIDIA A10-24Q", 24576, 1 },
};

struct vgpu_type {
	struct mdev_type type;
	const struct profile *profile;
};

/* An mdev_type holds a kobject: each VF has types of its own. */
struct vf {
	struct mdev_parent parent;
	struct vgpu_type types[ARRAY_SIZE(profiles)];
	struct mdev_type *pointers[ARRAY_SIZE(profiles)];
};

struct vgpu {
	struct vfio_device vdev;
};

static int vgpu_init(struct vfio_device *vdev)
{
	return 0;
}

static void vgpu_release(struct vfio_device *vdev)
{
}

static const struct vfio_device_ops vgpu_ops = {
	.name = "nvidia-vgpu",
	.init = vgpu_init,
	.release = vgpu_release,
};

static int vgpu_probe(struct mdev_device *mdev)
{
	struct vgpu *vgpu = vfio_alloc_device(vgpu, vdev, &mdev->dev, &vgpu_ops);
	int ret;

	if (IS_ERR(vgpu))
		return PTR_ERR(vgpu);
	ret = vfio_register_emulated_iommu_dev(&vgpu->vdev);
	if (ret) {
		vfio_put_device(&vgpu->vdev);
		return ret;
	}
	dev_set_drvdata(&mdev->dev, vgpu);
	return 0;
}

static void vgpu_remove(struct mdev_device *mdev)
{
	struct vgpu *vgpu = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&vgpu->vdev);
	vfio_put_device(&vgpu->vdev);
}

static ssize_t vgpu_show_description(struct mdev_type *type, char *buf)
{
	const struct profile *profile = container_of(type, struct vgpu_type, type)->profile;

	return sysfs_emit(buf, "num_heads=4, frl_config=60, framebuffer=%uM, max_resolution=5120x2880, max_instance=%u\n",
			  profile->framebuffer, profile->instances);
}

static struct mdev_driver vgpu_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.max_instances = 1,
	.driver = {
		.name = "nvidia-vgpu-vfio",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.show_description = vgpu_show_description,
};

static int board_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vf *vf;
	int ret, i;

	pdev->vendor = BOARD_VENDOR;
	pdev->device = BOARD_DEVICE;
	pdev->class = BOARD_CLASS;
	if (!pdev->is_virtfn)
		return 0;

	vf = kzalloc(sizeof(*vf), GFP_KERNEL);
	if (!vf)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(profiles); i++) {
		vf->types[i].type.sysfs_name = profiles[i].id;
		vf->types[i].type.pretty_name = profiles[i].name;
		vf->types[i].profile = &profiles[i];
		vf->pointers[i] = &vf->types[i].type;
	}
	ret = mdev_register_parent(&vf->parent, &pdev->dev, &vgpu_driver, vf->pointers, ARRAY_SIZE(profiles));
	if (ret) {
		kfree(vf);
		return ret;
	}
	pci_set_drvdata(pdev, vf);
	return 0;
}

static void board_remove(struct pci_dev *pdev)
{
	struct vf *vf = pci_get_drvdata(pdev);

	if (!pdev->is_virtfn) {
		pci_disable_sriov(pdev);
		return;
	}
	mdev_unregister_parent(&vf->parent);
	kfree(vf);
}

static const struct pci_device_id board_ids[] = {
	{ PCI_DEVICE(BOARD_VENDOR, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, board_ids);

static struct pci_driver board_driver = {
	.name = "nvidia",
	.id_table = board_ids,
	.probe = board_probe,
	.remove = board_remove,
	.sriov_configure = pci_sriov_configure_simple,
};

static int __init board_init(void)
{
	int ret = mdev_register_driver(&vgpu_driver);

	if (ret)
		return ret;
	ret = pci_register_driver(&board_driver);
	if (ret)
		mdev_unregister_driver(&vgpu_driver);
	return ret;
}

static void __exit board_exit(void)
{
	pci_unregister_driver(&board_driver);
	mdev_unregister_driver(&vgpu_driver);
}

module_init(board_init);
module_exit(board_exit);
MODULE_DESCRIPTION("Stand-in for NVIDIA's vGPU driver, for tests under QEMU");
MODULE_LICENSE("GPL");
