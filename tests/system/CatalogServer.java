// Iceberg's REST catalog, the one that its own tests use, on the loopback interface and the port of
// CATALOG_REST_PORT. Its settings come from CATALOG_* (org.apache.iceberg.rest.RCKUtils).
package org.apache.iceberg.rest;

import java.net.InetSocketAddress;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;

public class CatalogServer {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> settings = RCKUtils.environmentCatalogConfig();
    var catalog =
        CatalogUtil.buildIcebergCatalog("rest_backend", settings, new Configuration());
    var context = new RESTCatalogServer.CatalogContext(catalog, settings);
    var handler = new ServletContextHandler(ServletContextHandler.NO_SESSIONS);
    handler.addServlet(
        new ServletHolder(new RESTCatalogServlet(new RESTServerCatalogAdapter(context))), "/*");
    int port = Integer.parseInt(settings.getOrDefault("rest.port", "8181"));
    Server server = new Server(new InetSocketAddress("127.0.0.1", port));
    server.setHandler(handler);
    server.start();
    server.join();
  }
}
