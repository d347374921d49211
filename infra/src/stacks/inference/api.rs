//! The HTTP API.

use super::{name, parameters::Parameters};
use crate::{
    aws::{ApiStage, Authorizer, FunctionAlias, HttpApi, Integration, LogGroup, Permission, Route},
    core::{Expr, Handle, Stack, object},
};

/// The routes, and whether they are open even where the API wants to know its callers.
const ROUTES: [(&str, &str, bool); 6] = [
    ("Predict", "POST /", false),
    ("PredictV1", "POST /v1/predict", false),
    ("Page", "GET /", false),
    ("Model", "GET /v1/model", false),
    // What watches a service has no credentials.
    ("Health", "GET /health", true),
    ("Ready", "GET /ready", true),
];

/// One line for each request, without anything of the image.
const ACCESS_LOG: &str = concat!(
    r#"{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","time":"$context.requestTime","#,
    r#""route":"$context.routeKey","status":"$context.status","bytes":"$context.responseLength","#,
    r#""latencyMillis":"$context.responseLatency","integrationMillis":"$context.integrationLatency","#,
    r#""integrationStatus":"$context.integrationStatus","error":"$context.error.message","#,
    r#""integrationError":"$context.integrationErrorMessage","agent":"$context.identity.userAgent"}"#
);

pub(super) fn add(stack: &Stack, p: &Parameters, alias: &Handle<FunctionAlias>) -> Handle<HttpApi> {
    let scope = stack.scope().child("Api");
    let api = HttpApi::new().name(name()).description("Classifies images").protocol_type("HTTP").cors_configuration(
        object! {
            "AllowCredentials" => false,
            "AllowHeaders" => ["Authorization", "Content-Type"],
            "AllowMethods" => ["GET", "POST"],
            "AllowOrigins" => &p.origins,
            // The most that an HTTP API takes: a day.
            "MaxAge" => 86_400,
        },
    );
    let api = scope.add("Api", api);
    let logs = LogGroup::new()
        .log_group_name(Expr::sub("/aws/vendedlogs/apigateway/${SageMakerProjectName}-${StageName}"))
        .kms_key_id(p.has_key.then(&p.key))
        .retention_in_days(&p.log_days);
    let logs = scope.add("Logs", logs);
    let integration = Integration::new()
        .api_id(&api)
        .integration_type("AWS_PROXY")
        .integration_method("POST")
        .integration_uri(alias)
        .payload_format_version("2.0")
        .timeout_in_millis(30_000);
    let integration = scope.add("Integration", integration);
    let authorizer = Authorizer::new()
        .api_id(&api)
        .name("tokens")
        .authorizer_type("JWT")
        .identity_source(["$request.header.Authorization"])
        .jwt_configuration(object! { "Issuer" => &p.jwt_issuer, "Audience" => &p.jwt_audience });
    let authorizer = scope.add("Tokens", authorizer).only_if(&p.uses_jwt);
    let target = Expr::sub_with("integrations/${integration}", [("integration", integration.reference())]);
    for (id, key, open) in ROUTES {
        let route = Route::new().api_id(&api).route_key(key).target(target.clone());
        let route = match open {
            true => route.authorization_type("NONE"),
            false => route.authorization_type(&p.authorization).authorizer_id(p.uses_jwt.then(&authorizer)),
        };
        let route = scope.add(id, route);
        if open {
            let _ = route.accept_finding("CKV_AWS_309", "it says whether the service is up, and nothing of it");
        }
    }
    let stage = ApiStage::new()
        .api_id(&api)
        .stage_name("$default")
        .auto_deploy(true)
        .default_route_settings(object! {
            "ThrottlingRateLimit" => &p.rate,
            "ThrottlingBurstLimit" => &p.burst,
            // Alarms and dashboard are about the whole API: metrics of each route cost, and nothing reads them.
            "DetailedMetricsEnabled" => false,
        })
        .access_log_settings(object! { "DestinationArn" => logs.arn(), "Format" => ACCESS_LOG });
    scope.add("Stage", stage);
    let permission = Permission::new()
        .action("lambda:InvokeFunction")
        .function_name(alias)
        .principal("apigateway.amazonaws.com")
        .source_arn(Expr::sub_with(
            "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${api}/*/*",
            [("api", api.reference())],
        ));
    scope.add("Permission", permission);
    api
}
