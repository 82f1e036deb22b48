import java.io.FileInputStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.SecureHttpTransportSettingsProvider;
import org.opensearch.plugins.SecureSettingsFactory;
import org.opensearch.plugins.SecureTransportSettingsProvider;
import org.opensearch.plugins.TransportExceptionHandler;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestHandler;
import org.opensearch.transport.Netty4Plugin;

/**
 * One node of OpenSearch on loopback, by TLS, for one user. Its security plugin is in no place that we reach: this stands in for it.
 * Arguments: home, HTTP port, transport port, PKCS#12 file, user:password.
 */
public final class Server extends Node {
  private static String keys;
  private static String user;

  private Server(Environment environment) {
    super(environment, List.of(Netty4Plugin.class, Guard.class), false);
  }

  public static final class Guard extends Plugin implements ActionPlugin {
    @Override
    public UnaryOperator<RestHandler> getRestHandlerWrapper(ThreadContext context) {
      String known = "Basic " + Base64.getEncoder().encodeToString(user.getBytes(StandardCharsets.UTF_8));
      return handler -> (request, channel, client) -> {
        if (known.equals(request.header("Authorization"))) {
          handler.handleRequest(request, channel, client);
        } else {
          channel.sendResponse(new BytesRestResponse(RestStatus.UNAUTHORIZED, "Unauthorized"));
        }
      };
    }

    @Override
    public Optional<SecureSettingsFactory> getSecureSettingFactory(Settings settings) {
      return Optional.of(new SecureSettingsFactory() {
        @Override
        public Optional<SecureTransportSettingsProvider> getSecureTransportSettingsProvider(Settings settings) {
          return Optional.empty();
        }

        @Override
        public Optional<SecureHttpTransportSettingsProvider> getSecureHttpTransportSettingsProvider(Settings settings) {
          return Optional.of(new Engines());
        }
      });
    }
  }

  private static final class Engines implements SecureHttpTransportSettingsProvider {
    @Override
    public Optional<TransportExceptionHandler> buildHttpServerExceptionHandler(Settings settings, HttpServerTransport transport) {
      return Optional.empty();
    }

    @Override
    public Optional<SSLEngine> buildSecureHttpServerEngine(Settings settings, HttpServerTransport transport) {
      try (FileInputStream file = new FileInputStream(keys)) {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(file, "tests".toCharArray());
        KeyManagerFactory managers = KeyManagerFactory.getInstance("PKIX");
        managers.init(store, "tests".toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        SSLEngine engine = context.createSSLEngine();
        engine.setUseClientMode(false);
        return Optional.of(engine);
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    keys = arguments[3];
    user = arguments[4];
    Settings settings = Settings.builder()
        .put("path.home", arguments[0])
        .put("http.port", arguments[1])
        .put("transport.port", arguments[2])
        .put("http.type", "netty4-secure")
        .put("transport.type", "netty4")
        .put("network.host", "127.0.0.1")
        .put("discovery.type", "single-node")
        .put("cluster.routing.allocation.disk.threshold_enabled", false)
        .put("node.name", "node")
        .put("cluster.name", "tests")
        .put("node.processors", 1)
        .build();
    LogConfigurator.registerErrorListener();
    new Server(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "node")).start();
    Thread.currentThread().join();
  }
}
