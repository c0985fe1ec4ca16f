// SPDX-License-Identifier: GPL-2.0
/*
 * Makes PCI functions of a machine under QEMU those of graphics cards, before any driver looks at them: loaded with
 *   cards=ADDRESS=VENDOR:DEVICE:SUBVENDOR:SUBDEVICE:CLASS,...   (hexadecimal; 0000:01:00.0=10de:2235:10de:145a:030200)
 * All that asks the kernel (sysfs, drivers, udev) sees these ids from then on; config space keeps its own. Functions that are absent are
 * passed over. Its VFs have the card's vendor (pci_iov_add_virtfn); the rest is for their driver to say.
 */
#include <linux/module.h>
#include <linux/pci.h>

#define MOST 16

static char *cards[MOST];
static int count;
module_param_array(cards, charp, &count, 0444);

static int __init cards_init(void)
{
	unsigned int domain, bus, slot, function, vendor, device, subvendor, subdevice, class;
	struct pci_dev *pdev;
	int i;

	for (i = 0; i < count; i++) {
		if (sscanf(cards[i], "%x:%x:%x.%x=%x:%x:%x:%x:%x", &domain, &bus, &slot, &function, &vendor, &device, &subvendor, &subdevice,
			   &class) != 9)
			return -EINVAL;
		pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
		if (!pdev)
			continue;
		pdev->vendor = vendor;
		pdev->device = device;
		pdev->subsystem_vendor = subvendor;
		pdev->subsystem_device = subdevice;
		pdev->class = class;
		pci_dev_put(pdev);
	}
	return 0;
}

module_init(cards_init);
MODULE_DESCRIPTION("Ids of graphics cards for functions that QEMU emulates, for tests");
MODULE_LICENSE("GPL");
