// SPDX-License-Identifier: Apache-2.0
//
// Circular doubly linked lists with the node inside the element. A head is a node that is no element.
#pragma once

#include "kernel/lib/types.h"

struct list_node {
    struct list_node *next, *prev;
};

static inline void list_init(struct list_node *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_empty(const struct list_node *head)
{
    return head->next == head;
}

// Inserts `node` just before `pos`; before the head means at the end.
static inline void list_insert_before(struct list_node *pos, struct list_node *node)
{
    node->next = pos;
    node->prev = pos->prev;
    pos->prev->next = node;
    pos->prev = node;
}

static inline void list_push_back(struct list_node *head, struct list_node *node)
{
    list_insert_before(head, node);
}

static inline void list_push_front(struct list_node *head, struct list_node *node)
{
    list_insert_before(head->next, node);
}

// Unlinks; the node then points to itself, and removing it again is harmless.
static inline void list_remove(struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

// The first node, unlinked; NULL when empty.
static inline struct list_node *list_pop_front(struct list_node *head)
{
    struct list_node *node = head->next;

    if (node == head) {
        return NULL;
    }
    list_remove(node);
    return node;
}

#define list_entry(node, type, member) container_of(node, type, member)

// Iterates over elements; the body must not remove `it` (use list_for_each_safe).
#define list_for_each(it, head) for (struct list_node *it = (head)->next; it != (head); it = it->next)
#define list_for_each_safe(it, tmp, head) \
    for (struct list_node *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)
