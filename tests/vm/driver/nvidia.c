// SPDX-License-Identifier: GPL-2.0
/*
 * A stand-in for NVIDIA's vGPU host driver on a real kernel under QEMU: a PCI driver called "nvidia" that takes every function of NVIDIA's
 * and any other that driver_override gives it, which then is an A10. It
 *  - makes VFs through sriov_numvfs, with what the PCI core brings for that,
 *  - offers vGPU types as the board does: mediated devices on the card, on its VFs, or the directory `nvidia` of vendor VFIO on its VFs,
 *  - counts as NVIDIA's does: all vGPUs of a card are of one size, a VF has one,
 *  - has /proc/driver/nvidia with version, and for each card unbindLock, which a card with vGPUs does not give.
 * All else that happens in sysfs is the kernel's own doing; the vGPUs do nothing. Boards of other names it drives without vGPUs.
 */
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#define VERSION "535.161.05"
#define MOST_TYPES 4

enum framework { ON_CARD, ON_VFS, VENDOR_VFIO };

struct profile {
	const char *id, *name;
	unsigned int framebuffer, instances;
};

static const struct board {
	unsigned short device;
	enum framework framework;
	struct profile profiles[MOST_TYPES + 1];
} boards[] = {
	{ 0x2236, ON_VFS, { { "588", "NVIDIA A10-1B", 1024, 16 }, { "589", "NVIDIA A10-2B", 2048, 12 },
			    { "592", "NVIDIA A10-4Q", 4096, 6 }, { "595", "NVIDIA A10-24Q", 24576, 1 } } },
	{ 0x2235, ON_VFS, { { "555", "NVIDIA A40-1B", 1024, 32 }, { "560", "NVIDIA A40-4Q", 4096, 12 },
			    { "562", "NVIDIA A40-8Q", 8192, 6 }, { "566", "NVIDIA A40-48Q", 49152, 1 } } },
	{ 0x1bb3, ON_CARD, { { "63", "GRID P4-1Q", 1024, 8 }, { "64", "GRID P4-2Q", 2048, 4 },
			     { "65", "GRID P4-4Q", 4096, 2 }, { "66", "GRID P4-8Q", 8192, 1 } } },
	{ 0x27b8, VENDOR_VFIO, { { "911", "NVIDIA L4-2Q", 2048, 12 }, { "913", "NVIDIA L4-4Q", 4096, 6 },
				 { "917", "NVIDIA L4-24Q", 24576, 1 } } },
};

/* Outlives its driver's binding: VFs are made while pci-pf-stub has the card. */
struct card {
	struct list_head list;
	struct pci_dev *pdev;
	const struct board *board; /* NULL: one without vGPUs */
	unsigned int running, size; /* vGPUs, and the framebuffer of each */
	bool unbind_lock;
	struct proc_dir_entry *proc;
};

struct vgpu_type {
	struct mdev_type type;
	const struct profile *profile;
};

/* A card or a VF on which vGPUs are made. An mdev_type holds a kobject, so each has types of its own. */
struct place {
	struct card *card;
	bool is_vf;
	unsigned int running;
	const struct profile *current_type; /* vendor VFIO */
	struct mdev_parent parent;
	struct vgpu_type types[MOST_TYPES];
	struct mdev_type *pointers[MOST_TYPES];
};

struct vgpu {
	struct vfio_device vdev;
	struct place *place;
};

static DEFINE_MUTEX(lock); /* of all cards */
static LIST_HEAD(cards);
static struct proc_dir_entry *proc_root, *proc_gpus;

/* --- what is free ------------------------------------------------------------------------------------------------------------------ */

/* How many more. */
static unsigned int room(const struct place *place, const struct profile *profile)
{
	const struct card *card = place->card;
	unsigned int left;

	if (card->running && card->size != profile->framebuffer)
		return 0;
	left = profile->instances - min(card->running, profile->instances);
	return !place->is_vf ? left : place->running ? 0 : min(left, 1u);
}

static int take(struct place *place, const struct profile *profile)
{
	bool fits;

	mutex_lock(&lock);
	fits = room(place, profile);
	if (fits) {
		place->running++;
		place->card->running++;
		place->card->size = profile->framebuffer;
	}
	mutex_unlock(&lock);
	return fits ? 0 : -EUSERS;
}

static void give(struct place *place)
{
	mutex_lock(&lock);
	place->running--;
	place->card->running--;
	mutex_unlock(&lock);
}

/* --- mediated devices -------------------------------------------------------------------------------------------------------------- */

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

static const struct profile *profile_of(struct mdev_type *type)
{
	return container_of(type, struct vgpu_type, type)->profile;
}

static int vgpu_probe(struct mdev_device *mdev)
{
	struct place *place = container_of(mdev->type->parent, struct place, parent);
	struct vgpu *vgpu;
	int ret = take(place, profile_of(mdev->type));

	if (ret)
		return ret;
	vgpu = vfio_alloc_device(vgpu, vdev, &mdev->dev, &vgpu_ops);
	if (IS_ERR(vgpu)) {
		give(place);
		return PTR_ERR(vgpu);
	}
	vgpu->place = place;
	ret = vfio_register_emulated_iommu_dev(&vgpu->vdev);
	if (ret) {
		vfio_put_device(&vgpu->vdev);
		give(place);
		return ret;
	}
	dev_set_drvdata(&mdev->dev, vgpu);
	return 0;
}

static void vgpu_remove(struct mdev_device *mdev)
{
	struct vgpu *vgpu = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&vgpu->vdev);
	give(vgpu->place);
	vfio_put_device(&vgpu->vdev);
}

static unsigned int vgpu_available(struct mdev_type *type)
{
	return room(container_of(type->parent, struct place, parent), profile_of(type));
}

static ssize_t vgpu_show_description(struct mdev_type *type, char *buf)
{
	const struct profile *profile = profile_of(type);

	return sysfs_emit(buf, "num_heads=4, frl_config=60, framebuffer=%uM, max_resolution=5120x2880, max_instance=%u\n",
			  profile->framebuffer, profile->instances);
}

static struct mdev_driver vgpu_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.driver = {
		.name = "nvidia-vgpu-vfio",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.get_available = vgpu_available,
	.show_description = vgpu_show_description,
};

static int offer_mdevs(struct place *place, struct pci_dev *pdev)
{
	const struct profile *profile;
	unsigned int n = 0;

	for (profile = place->card->board->profiles; profile->id; profile++, n++) {
		place->types[n].type.sysfs_name = profile->id;
		place->types[n].type.pretty_name = profile->name;
		place->types[n].profile = profile;
		place->pointers[n] = &place->types[n].type;
	}
	return mdev_register_parent(&place->parent, &pdev->dev, &vgpu_driver, place->pointers, n);
}

/* --- vendor VFIO: no mediated devices, but a directory on each VF -------------------------------------------------------------------- */

static ssize_t creatable_vgpu_types_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct place *place = dev_get_drvdata(dev);
	const struct profile *profile;
	int at = sysfs_emit(buf, "ID    : vGPU Name\n");

	for (profile = place->card->board->profiles; profile->id; profile++)
		if (room(place, profile))
			at += sysfs_emit_at(buf, at, "%-5s : %s\n", profile->id, profile->name);
	return at;
}
static DEVICE_ATTR_RO(creatable_vgpu_types);

static ssize_t current_vgpu_type_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct place *place = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%s\n", place->current_type ? place->current_type->id : "0");
}

static ssize_t current_vgpu_type_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t size)
{
	struct place *place = dev_get_drvdata(dev);
	const struct profile *profile;
	unsigned int wanted, id;
	int ret = kstrtouint(buf, 10, &wanted);

	if (ret)
		return ret;
	if (!wanted == !place->current_type)
		return -EPERM; /* one more, or none to take away */
	if (!wanted) {
		place->current_type = NULL;
		give(place);
		return size;
	}
	for (profile = place->card->board->profiles; profile->id; profile++)
		if (!kstrtouint(profile->id, 10, &id) && id == wanted && !take(place, profile)) {
			place->current_type = profile;
			return size;
		}
	return -EIO;
}
static DEVICE_ATTR_RW(current_vgpu_type);

static struct attribute *vfio_attrs[] = { &dev_attr_creatable_vgpu_types.attr, &dev_attr_current_vgpu_type.attr, NULL };
static const struct attribute_group vfio_group = { .name = "nvidia", .attrs = vfio_attrs };

/* --- /proc/driver/nvidia ------------------------------------------------------------------------------------------------------------- */

static int version_show(struct seq_file *file, void *unused)
{
	seq_puts(file, "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " VERSION "  Release Build  (dvs-builder)\n");
	return 0;
}

static int unbind_lock_show(struct seq_file *file, void *unused)
{
	const struct card *card = file->private;

	seq_printf(file, "%d\n", card->unbind_lock);
	return 0;
}

static int unbind_lock_open(struct inode *inode, struct file *file)
{
	return single_open(file, unbind_lock_show, pde_data(inode));
}

static ssize_t unbind_lock_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
	struct card *card = pde_data(file_inode(file));
	bool wanted;
	int ret = kstrtobool_from_user(text, size, &wanted);

	if (ret)
		return ret;
	mutex_lock(&lock);
	card->unbind_lock = wanted && !card->running;
	mutex_unlock(&lock);
	return size;
}

static const struct proc_ops unbind_lock_ops = {
	.proc_open = unbind_lock_open,
	.proc_read = seq_read,
	.proc_write = unbind_lock_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

/* --- the PCI driver ------------------------------------------------------------------------------------------------------------------ */

static struct card *card_of(struct pci_dev *pdev)
{
	struct card *card;
	int i;

	list_for_each_entry(card, &cards, list)
		if (card->pdev == pdev)
			return card;
	card = kzalloc(sizeof(*card), GFP_KERNEL);
	if (!card)
		return NULL;
	if (pdev->vendor != PCI_VENDOR_ID_NVIDIA) {
		pdev->vendor = PCI_VENDOR_ID_NVIDIA;
		pdev->device = boards[0].device;
		pdev->class = 0x030200;
	}
	card->pdev = pci_dev_get(pdev);
	for (i = 0; i < ARRAY_SIZE(boards); i++)
		if (boards[i].device == pdev->device)
			card->board = &boards[i];
	list_add(&card->list, &cards);
	return card;
}

static int function_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct card *card;
	struct place *place;
	int ret;

	mutex_lock(&lock);
	card = card_of(pci_physfn(pdev));
	mutex_unlock(&lock);
	if (!card)
		return -ENOMEM;
	if (!pdev->is_virtfn) {
		card->unbind_lock = false;
		card->proc = proc_mkdir(pci_name(pdev), proc_gpus);
		proc_create_data("unbindLock", 0644, card->proc, &unbind_lock_ops, card);
	} else {
		pdev->vendor = card->pdev->vendor;
		pdev->device = card->pdev->device;
		pdev->class = 0x030200;
		pdev->subsystem_vendor = PCI_VENDOR_ID_NVIDIA;
		pdev->subsystem_device = 0;
	}
	if (!card->board || (card->board->framework == ON_CARD) == pdev->is_virtfn)
		return 0;

	place = kzalloc(sizeof(*place), GFP_KERNEL);
	if (!place)
		return -ENOMEM;
	place->card = card;
	place->is_vf = pdev->is_virtfn;
	pci_set_drvdata(pdev, place);
	ret = card->board->framework == VENDOR_VFIO ? sysfs_create_group(&pdev->dev.kobj, &vfio_group) : offer_mdevs(place, pdev);
	if (ret) {
		pci_set_drvdata(pdev, NULL);
		kfree(place);
	}
	return ret;
}

static void function_remove(struct pci_dev *pdev)
{
	struct place *place = pci_get_drvdata(pdev);
	struct card *card;

	if (place) {
		if (place->card->board->framework == VENDOR_VFIO) {
			sysfs_remove_group(&pdev->dev.kobj, &vfio_group);
			if (place->current_type)
				give(place);
		} else {
			mdev_unregister_parent(&place->parent);
		}
		kfree(place);
	}
	if (pdev->is_virtfn)
		return;
	pci_disable_sriov(pdev);
	mutex_lock(&lock);
	card = card_of(pdev);
	mutex_unlock(&lock);
	proc_remove(card->proc);
	card->proc = NULL;
}

static const struct pci_device_id function_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, function_ids);

static struct pci_driver function_driver = {
	.name = "nvidia",
	.id_table = function_ids,
	.probe = function_probe,
	.remove = function_remove,
	.sriov_configure = pci_sriov_configure_simple,
};

static int __init nvidia_init(void)
{
	int ret = mdev_register_driver(&vgpu_driver);

	if (ret)
		return ret;
	proc_root = proc_mkdir("driver/nvidia", NULL);
	proc_gpus = proc_mkdir("gpus", proc_root);
	proc_create_single("version", 0444, proc_root, version_show);
	ret = pci_register_driver(&function_driver);
	if (ret) {
		proc_remove(proc_root);
		mdev_unregister_driver(&vgpu_driver);
	}
	return ret;
}

static void __exit nvidia_exit(void)
{
	struct card *card, *next;

	pci_unregister_driver(&function_driver);
	list_for_each_entry_safe(card, next, &cards, list) {
		pci_dev_put(card->pdev);
		kfree(card);
	}
	proc_remove(proc_root);
	mdev_unregister_driver(&vgpu_driver);
}

module_init(nvidia_init);
module_exit(nvidia_exit);
MODULE_DESCRIPTION("Stand-in for NVIDIA's vGPU driver, for tests under QEMU");
MODULE_VERSION(VERSION);
MODULE_LICENSE("GPL");
