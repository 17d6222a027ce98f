// SPDX-License-Identifier: Apache-2.0
//
// See vm_table.h. Two locks: the mutex keeps VMs alive for those who look at them for long, the spinlock keeps the array
// whole for those who may not sleep. A change takes both.
#include "vmm/manage/vm_table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kernel/sched/mutex.h"

static struct {
    struct mutex holders;
    struct spinlock lock;
    struct managed *vms[CONFIG_VM_MAX];
    unsigned count;
} table;

void vm_table_init(void)
{
    mutex_init(&table.holders);
    spin_init(&table.lock, LOCK_VM_TABLE);
    table.count = 0;
}

void vm_table_hold(void)
{
    mutex_lock(&table.holders);
}

void vm_table_release(void)
{
    mutex_unlock(&table.holders);
}

struct managed *vm_table_get(unsigned i)
{
    return i < table.count ? table.vms[i] : NULL;
}

unsigned vm_table_count(void)
{
    return table.count;
}

struct managed *vm_table_find(const char *name)
{
    for (unsigned i = 0; i < table.count; i++) {
        if (strcasecmp(vm_name(&table.vms[i]->vm), name) == 0) {
            return table.vms[i];
        }
    }
    return NULL;
}

unsigned vm_table_next_id(void)
{
    unsigned id = 1;

    for (unsigned i = 0; i < table.count; i++) {
        if (table.vms[i]->vm.id == id) {
            id++;
            i = UINT32_MAX; // look at all again
        }
    }
    return id;
}

enum status vm_table_add(struct managed *m)
{
    irq_state_t irq;

    if (vm_table_find(vm_name(&m->vm))) {
        return E_EXISTS;
    }
    if (table.count == CONFIG_VM_MAX) {
        return E_NOMEM;
    }
    vm_table_hold();
    irq = spin_lock_irqsave(&table.lock);
    table.vms[table.count++] = m;
    spin_unlock_irqrestore(&table.lock, irq);
    vm_table_release();
    return OK;
}

void vm_table_remove(struct managed *m)
{
    irq_state_t irq;
    unsigned i = 0;

    vm_table_hold();
    irq = spin_lock_irqsave(&table.lock);
    while (i < table.count && table.vms[i] != m) {
        i++;
    }
    if (i < table.count) {
        table.count--;
        memmove(&table.vms[i], &table.vms[i + 1], (table.count - i) * sizeof(table.vms[0]));
        table.vms[table.count] = NULL;
    }
    spin_unlock_irqrestore(&table.lock, irq);
    vm_table_release();
}

void vm_table_describe(const char *name, char *buf, size_t size)
{
    irq_state_t irq = spin_lock_irqsave(&table.lock);
    const struct managed *m = vm_table_find(name);

    if (m) {
        const struct vm *vm = &m->vm;

        snprintf(buf, size, "%s, %u vCPU, %llu MiB%s%s", vm_state_name(vm->state), vm->vcpu_count,
                 (unsigned long long)(vm->config->memory >> 20), vm->fault[0] ? ": " : "", vm->fault);
    } else {
        snprintf(buf, size, "not created");
    }
    spin_unlock_irqrestore(&table.lock, irq);
}

bool vm_table_name(unsigned i, char out[CONFIG_NAME_MAX])
{
    irq_state_t irq = spin_lock_irqsave(&table.lock);
    bool there = i < table.count;

    if (there) {
        memcpy(out, table.vms[i]->config.name, CONFIG_NAME_MAX);
    }
    spin_unlock_irqrestore(&table.lock, irq);
    return there;
}
