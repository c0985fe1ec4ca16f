// SPDX-License-Identifier: GPL-2.0
/*
 * A stand-in for i915-sriov-dkms on a real kernel under QEMU: a PCI driver called "i915" with its parameters enable_guc and max_vfs, that
 * lets a function of Intel's have at most max_vfs VFs (none by default, as the original) and takes these too.
 */
#include <linux/module.h>
#include <linux/pci.h>

static int enable_guc = -1;
module_param(enable_guc, int, 0400);
static unsigned int max_vfs;
module_param(max_vfs, uint, 0400);

static int graphics_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	if (!pdev->is_virtfn) /* without the GuC (bit 0) there is none to share the graphics out */
		return pci_sriov_set_totalvfs(pdev, enable_guc > 0 && enable_guc & 1 ? min_t(u16, max_vfs, pci_sriov_get_totalvfs(pdev)) : 0);
	pdev->device = pdev->physfn->device;
	pdev->class = PCI_CLASS_DISPLAY_OTHER << 8; /* not VGA, as vfio-pci needs the VGA arbiter to know it then, which is past that */
	return 0;
}

static void graphics_remove(struct pci_dev *pdev)
{
	if (!pdev->is_virtfn)
		pci_disable_sriov(pdev);
}

static const struct pci_device_id graphics_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x4692) }, /* UHD 730, the i5-12400 */
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x5845) }, /* a VF of QEMU's, before it is probed */
	{ }
};
MODULE_DEVICE_TABLE(pci, graphics_ids);

static struct pci_driver graphics_driver = {
	.name = "i915",
	.id_table = graphics_ids,
	.probe = graphics_probe,
	.remove = graphics_remove,
	.sriov_configure = pci_sriov_configure_simple,
};
module_pci_driver(graphics_driver);
MODULE_DESCRIPTION("Stand-in for i915-sriov-dkms, for tests under QEMU");
MODULE_VERSION("2025.07.22");
MODULE_LICENSE("GPL");
