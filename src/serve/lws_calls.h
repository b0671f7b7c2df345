/* SPDX-License-Identifier: MIT
 * lws_calls.h (internal to src/serve) - libwebsockets, loaded when a server starts: with OpenSSL, which it brings and which is never
 * used on 127.0.0.1, it is a tenth of the time from process start to a first prediction (measured), and most commands serve
 * nothing. Include this instead of the library's header; a function that is not in lws_calls.def is added to it and below.
 */
#ifndef CVI_LWS_CALLS_H
#define CVI_LWS_CALLS_H

#include <libwebsockets.h>

/* Pointers to functions and nothing else, in the order of the list. */
typedef struct cvi_lws_calls {
#define CVI_LWS_CALL(name) __typeof__(name) *name;
#include "lws_calls.def"
#undef CVI_LWS_CALL
} cvi_lws_calls;

extern cvi_lws_calls cvi_lws; /* written once, by cvi_lws_load() */

/* Before the first call: loads the library, once in a process; "" or why it could not be. Any thread. */
const char *cvi_lws_load(void);

#ifndef CVI_LWS_OWN_NAMES /* calls go through the table */
#define lws_add_http_header_by_name                 (cvi_lws.lws_add_http_header_by_name)
#define lws_add_http_header_by_token                (cvi_lws.lws_add_http_header_by_token)
#define lws_add_http_header_content_length          (cvi_lws.lws_add_http_header_content_length)
#define lws_add_http_header_status                  (cvi_lws.lws_add_http_header_status)
#define lws_callback_http_dummy                     (cvi_lws.lws_callback_http_dummy)
#define lws_callback_on_writable                    (cvi_lws.lws_callback_on_writable)
#define lws_cancel_service                          (cvi_lws.lws_cancel_service)
#define lws_context_destroy                         (cvi_lws.lws_context_destroy)
#define lws_context_user                            (cvi_lws.lws_context_user)
#define lws_create_context                          (cvi_lws.lws_create_context)
#define lws_finalize_write_http_header              (cvi_lws.lws_finalize_write_http_header)
#define lws_get_context                             (cvi_lws.lws_get_context)
#define lws_get_urlarg_by_name                      (cvi_lws.lws_get_urlarg_by_name)
#define lws_get_vhost_by_name                       (cvi_lws.lws_get_vhost_by_name)
#define lws_get_vhost_listen_port                   (cvi_lws.lws_get_vhost_listen_port)
#define lws_hdr_copy                                (cvi_lws.lws_hdr_copy)
#define lws_hdr_copy_fragment                       (cvi_lws.lws_hdr_copy_fragment)
#define lws_hdr_custom_copy                         (cvi_lws.lws_hdr_custom_copy)
#define lws_hdr_custom_length                       (cvi_lws.lws_hdr_custom_length)
#define lws_hdr_fragment_length                     (cvi_lws.lws_hdr_fragment_length)
#define lws_hdr_total_length                        (cvi_lws.lws_hdr_total_length)
#define lws_http_transaction_completed              (cvi_lws.lws_http_transaction_completed)
#define lws_service                                 (cvi_lws.lws_service)
#define lws_set_log_level                           (cvi_lws.lws_set_log_level)
#define lws_set_timeout                             (cvi_lws.lws_set_timeout)
#define lws_callback_on_writable_all_protocol_vhost (cvi_lws.lws_callback_on_writable_all_protocol_vhost)
#define lws_create_vhost                            (cvi_lws.lws_create_vhost)
#define lws_get_vhost                               (cvi_lws.lws_get_vhost)
#define lws_vhost_name_to_protocol                  (cvi_lws.lws_vhost_name_to_protocol)
#define lws_write                                   (cvi_lws.lws_write)
#endif

#endif
