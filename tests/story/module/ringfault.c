// SPDX-License-Identifier: GPL-2.0-or-later
// SPDX-FileCopyrightText: 2026, The Crashready authors
/*
 * A driver fault on order, for test guests alone: after a set number of received packets one pointer of e1000e's
 * own receive ring becomes NULL, and the driver's next look at it is an ordinary oops in its receive clean-up.
 *
 * The probe sits at the first instruction of e1000_clean_rx_irq(), which e1000e calls through a pointer, so that no
 * compiler can have inlined it or changed its arguments. It has left the stack before the driver faults: nothing of
 * this module is in the trace. Packets are counted by how far the ring's next_to_clean has moved from one call to
 * the next, which takes no second probe (one descriptor is one packet while frames fit into 2 KiB).
 *
 * The driver's structures are private to it. Their offsets are parameters, read by ../btf.py from the type
 * information of the very kernel that runs; without them the module does not load.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/crash_dump.h>
#include <linux/ctype.h>
#include <linux/dmi.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#define SYMBOL "e1000e:e1000_clean_rx_irq"
/* Only the racks of the tests start their guests with this word. */
#define WORD "crashready.story=1"
#define CMDLINE_BYTES 4096
/* An offset beyond this is no offset of the structures meant here, and a ring has at most 4096 descriptors. */
#define OFFSET_LIMIT 4096
#define RING_LIMIT 4096
#define RINGS 8

static char *first = "";
module_param(first, charp, 0444);
MODULE_PARM_DESC(first, "first kernel version in which the fault is, such as 6.12.0");

static char *before = "";
module_param(before, charp, 0444);
MODULE_PARM_DESC(before, "first kernel version in which it is not any more, such as 7.3");

static unsigned long after;
module_param(after, ulong, 0444);
MODULE_PARM_DESC(after, "received packets after which a kernel inside the range faults");

static int ring_buffer_info = -1;
module_param(ring_buffer_info, int, 0444);
MODULE_PARM_DESC(ring_buffer_info, "offset in bytes of e1000_ring.buffer_info");

static int ring_next_to_clean = -1;
module_param(ring_next_to_clean, int, 0444);
MODULE_PARM_DESC(ring_next_to_clean, "offset in bytes of e1000_ring.next_to_clean");

static int ring_count = -1;
module_param(ring_count, int, 0444);
MODULE_PARM_DESC(ring_count, "offset in bytes of e1000_ring.count");

static int buffer_skb = -1;
module_param(buffer_skb, int, 0444);
MODULE_PARM_DESC(buffer_skb, "offset in bytes of e1000_buffer.skb");

static int buffer_size = -1;
module_param(buffer_size, int, 0444);
MODULE_PARM_DESC(buffer_size, "size in bytes of e1000_buffer");

static bool inside;
module_param(inside, bool, 0444);
MODULE_PARM_DESC(inside, "(read) whether the running kernel is inside the range");

static bool fired;
module_param(fired, bool, 0444);
MODULE_PARM_DESC(fired, "(read) whether the pointer was taken away");

static atomic64_t received = ATOMIC64_INIT(0);

static int packets_get(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%lld\n", (long long)atomic64_read(&received));
}

static const struct kernel_param_ops packets_ops = { .get = packets_get };
module_param_cb(packets, &packets_ops, NULL, 0444);
MODULE_PARM_DESC(packets, "(read) packets received since the module was loaded");

/* Where each receive ring stood at the last call; the lock is held for a few instructions. */
static struct place {
	unsigned long ring;
	u16 next_to_clean;
} places[RINGS];
static DEFINE_RAW_SPINLOCK(places_lock);

/* How many descriptors of a ring were cleaned since the last call for it: 0 at the first one and after a reset. */
static unsigned int advanced(unsigned long ring, u16 next_to_clean, u16 count, unsigned int budget)
{
	unsigned int moved = 0;
	unsigned long flags;
	int i;

	raw_spin_lock_irqsave(&places_lock, flags);
	for (i = 0; i < RINGS; i++) {
		if (places[i].ring == ring) {
			moved = (next_to_clean + count - places[i].next_to_clean) % count;
		} else if (places[i].ring) {
			continue;
		}
		places[i].ring = ring;
		places[i].next_to_clean = next_to_clean;
		break;
	}
	raw_spin_unlock_irqrestore(&places_lock, flags);
	/* One call cleans at most its budget: more is a ring that was set up anew in between. */
	return moved <= budget ? moved : 0;
}

/* The skb pointer of the descriptor that the driver cleans next becomes NULL, if there is one. */
static void take_away(unsigned long ring, u16 next_to_clean)
{
	unsigned long buffers, slot;
	void *skb;

	if (copy_from_kernel_nofault(&buffers, (void *)(ring + ring_buffer_info), sizeof(buffers)))
		return;
	slot = buffers + (unsigned long)next_to_clean * buffer_size + buffer_skb;
	if (copy_from_kernel_nofault(&skb, (void *)slot, sizeof(skb)) || !skb)
		return;
	fired = true;
	WRITE_ONCE(*(void **)slot, NULL);
}

/* Before each e1000_clean_rx_irq(struct e1000_ring *rx_ring, int *work_done, int work_to_do). */
static int on_clean(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long ring = regs_get_kernel_argument(regs, 0);
	unsigned int budget = (unsigned int)regs_get_kernel_argument(regs, 2);
	u16 next_to_clean;
	/* e1000_ring.count is an unsigned int. */
	u32 count;

	if (copy_from_kernel_nofault(&next_to_clean, (void *)(ring + ring_next_to_clean), sizeof(next_to_clean)) ||
	    copy_from_kernel_nofault(&count, (void *)(ring + ring_count), sizeof(count)))
		return 0;
	if (!count || count > RING_LIMIT || next_to_clean >= count)
		return 0;
	atomic64_add(advanced(ring, next_to_clean, count, budget), &received);
	if (inside && !fired && atomic64_read(&received) >= after)
		take_away(ring, next_to_clean);
	return 0;
}

static struct kprobe probe = { .symbol_name = SYMBOL, .pre_handler = on_clean };

/* Whether a word stands by itself in the command line of this boot. */
static int has_word(const char *word)
{
	char *text, *rest, *token;
	struct file *file;
	loff_t position = 0;
	ssize_t got;
	int found = 0;

	text = kzalloc(CMDLINE_BYTES, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	file = filp_open("/proc/cmdline", O_RDONLY, 0);
	if (IS_ERR(file)) {
		kfree(text);
		return PTR_ERR(file);
	}
	got = kernel_read(file, text, CMDLINE_BYTES - 1, &position);
	filp_close(file, NULL);
	rest = text;
	while (got > 0 && !found && (token = strsep(&rest, " \t\n")) != NULL)
		found = !strcmp(token, word);
	kfree(text);
	return got < 0 ? (int)got : found;
}

/* Reads "6.12" or "6.12.117": each part below 65536, nothing behind. */
static int read_version(const char *text, u64 *version)
{
	unsigned int part[3] = { 0, 0, 0 };
	int i;

	for (i = 0; i < 3; i++) {
		char digits[6];
		size_t length = strspn(text, "0123456789");

		if (!length || length >= sizeof(digits))
			return -EINVAL;
		memcpy(digits, text, length);
		digits[length] = '\0';
		if (kstrtouint(digits, 10, &part[i]) || part[i] > 0xffff)
			return -EINVAL;
		text += length;
		if (!*text)
			break;
		if (*text++ != '.' || i == 2)
			return -EINVAL;
	}
	*version = (u64)part[0] << 32 | (u64)part[1] << 16 | part[2];
	return 0;
}

static bool is_offset(int value, int size)
{
	return value >= 0 && value <= OFFSET_LIMIT - size && value % size == 0;
}

static int __init ringfault_init(void)
{
	/* Of the headers, since Debian 12 has no upstream version in its release; vermagic ties the two together. */
	const u64 own = (u64)LINUX_VERSION_MAJOR << 32 | (u64)LINUX_VERSION_PATCHLEVEL << 16 | LINUX_VERSION_SUBLEVEL;
	u64 low, high;
	int word;

	if (!dmi_match(DMI_SYS_VENDOR, "QEMU")) {
		pr_err("refused: this is no guest of QEMU\n");
		return -EPERM;
	}
	word = has_word(WORD);
	if (word != 1) {
		pr_err("refused: %s is not on the command line of this boot (%d)\n", WORD, word);
		return word < 0 ? word : -EPERM;
	}
	if (is_kdump_kernel()) {
		pr_err("refused: this is a capture kernel\n");
		return -EPERM;
	}
	if (read_version(first, &low) || read_version(before, &high) || low >= high || !after) {
		pr_err("refused: first=VERSION before=VERSION after=PACKETS are needed, first below before\n");
		return -EINVAL;
	}
	if (!is_offset(ring_buffer_info, sizeof(void *)) || !is_offset(ring_next_to_clean, sizeof(u16)) ||
	    !is_offset(ring_count, sizeof(u32)) || !is_offset(buffer_skb, sizeof(void *)) ||
	    buffer_size < buffer_skb + (int)sizeof(void *) || buffer_size > OFFSET_LIMIT) {
		pr_err("refused: the offsets of e1000_ring and e1000_buffer are needed\n");
		return -EINVAL;
	}
	inside = low <= own && own < high;
	fired = false;
	word = register_kprobe(&probe);
	if (word) {
		pr_err("no probe at %s: %d\n", SYMBOL, word);
		return word;
	}
	pr_info("counts what e1000e receives; the range %s to %s %s this kernel\n", first, before,
		inside ? "includes" : "excludes");
	return 0;
}

static void __exit ringfault_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(ringfault_init);
module_exit(ringfault_exit);
MODULE_DESCRIPTION("Takes a pointer of e1000e's receive ring away, in test guests");
MODULE_AUTHOR("The Crashready authors");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: e1000e");
