/*
 * host: a module of httpd with habits that ours must stand.
 *
 *     SetEnv host-habit WORD        in the WebSocket's section:
 *       swallow     a handler that runs the others itself, and says OK whatever they have said
 *       abort       the same, which says what they have said, but marks the connection as aborted behind them
 *     HostClogs On                  in a server: an input filter that wants to be read synchronously
 */

#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_protocol.h"
#include "http_request.h"

module AP_MODULE_DECLARE_DATA host_module;

static int run_others(request_rec *r)
{
    const char *habit = apr_table_get(r->subprocess_env, "host-habit");
    int status;

    if (habit == NULL || apr_table_get(r->notes, "host-runs") != NULL)
        return DECLINED;
    apr_table_setn(r->notes, "host-runs", "1");
    status = ap_run_handler(r);
    if (strcmp(habit, "swallow") == 0)
        return status == SUSPENDED ? OK : status;
    if (strcmp(habit, "abort") == 0)
        r->connection->aborted = 1;
    return status;
}

static int clog_input(conn_rec *c, void *socket)
{
    const int *clogs = ap_get_module_config(c->base_server->module_config, &host_module);

    (void)socket;
    if (*clogs)
        c->clogging_input_filters = 1;
    return OK;
}

static void *create_server_config(apr_pool_t *pool, server_rec *server)
{
    (void)server;
    return apr_pcalloc(pool, sizeof(int));
}

static const char *set_clogs(cmd_parms *command, void *section, int on)
{
    int *clogs = ap_get_module_config(command->server->module_config, &host_module);

    (void)section;
    *clogs = on;
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_FLAG("HostClogs", set_clogs, NULL, RSRC_CONF, "On or Off"),
    { NULL }
};

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(run_others, NULL, NULL, APR_HOOK_REALLY_FIRST - 10);
    ap_hook_pre_connection(clog_input, NULL, NULL, APR_HOOK_LAST);
}

module AP_MODULE_DECLARE_DATA host_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, create_server_config, NULL, commands, register_hooks, 0
};
